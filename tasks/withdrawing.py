"""Whether instances still hold: decided from what mining and timing said last, never from a fault or from silence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from storage.store import Store
from storage.tables import Commit, Funnel, Instance, Withdrawal

Cause = Literal["reverted", "too_slow", "left", "holds"]

NO = ("too_slow", "moved_work")
"""Reasons for which scoring makes no instance though everything could be timed, and nothing is inconclusive."""
UNSCRIPTED = "seeded: no script"
"""Beginning of the reason of a commit that the configuration has no script for any more."""


def withdraw(store: Store, repo: str, run_ids: Sequence[str], leaving: bool = False) -> list[Withdrawal]:
    """Append a row for every instance of the repository whose state changed by these runs; returns them.

    `run_ids`: of all configurations of the repository. `leaving`: also what none of them wants any more. Raises as
    `Store.rows` does.
    """
    changed = decide(store, repo, run_ids, leaving)
    store.append(changed)
    return changed


def decide(store: Store, repo: str, run_ids: Sequence[str], leaving: bool = False) -> list[Withdrawal]:
    """The rows that `withdraw` appends. Instances that no build made, such as those of an evaluated file, stay."""
    runs = [_Said(store, repo, run_id) for run_id in run_ids]
    found = []
    for row, before in _made_here(store, repo):
        cause, why = _together([said.about(row.head_commit) for said in runs])
        was = before is not None and before.withdrawn
        if cause == "holds" and was:
            found.append(_row(row, False, cause, why, run_ids[0]))
        elif cause in ("reverted", "too_slow", *(["left"] if leaving else [])) and not was:
            found.append(_row(row, True, cause, why, run_ids[0]))
    return found


def _together(said: list[tuple[Cause | None, str]]) -> tuple[Cause | None, str]:
    """What all configurations of a repository say: one that proves the commit is enough; silence decides nothing."""
    for cause in ("reverted", "holds", None, "too_slow", "left"):
        for found in said:
            if found[0] == cause:
                return found
    return None, ""


def decide_unconfigured(store: Store, repos: Sequence[str], run_id: str) -> list[Withdrawal]:
    """Rows for instances of repositories that no configuration names any more; `repos` are those that one names."""
    there = store.frame(Instance, columns=("repo",))["repo"].unique().sort().to_list()
    return [
        _row(row, True, "left", f"no configuration names {repo}", run_id)
        for repo in there
        if repo not in repos
        for row, before in _made_here(store, repo)
        if before is None or not before.withdrawn
    ]


def _made_here(store: Store, repo: str) -> list[tuple[Instance, Withdrawal | None]]:
    """Instances that a build made, in the order of their ids, with the last word on each."""
    built = set(store.frame(Funnel, repo, keys={"stage": "instances"})["key"])
    before = {row.instance_id: row for row in store.rows(Withdrawal, repo)}
    rows = sorted(store.rows(Instance, repo), key=lambda row: row.instance_id)
    return [(row, before.get(row.instance_id)) for row in rows if row.head_commit in built]


class _Said:
    """What one run's stages said last about each commit."""

    def __init__(self, store: Store, repo: str, run_id: str) -> None:
        self._funnel: dict[tuple[str, str], Funnel] = {
            (row.stage, row.key): row for row in store.rows(Funnel, repo, run_id=run_id)
        }
        self._mined = any(stage == "mining" for stage, _ in self._funnel)
        reasons = store.frame(Commit, repo, columns=("reason",))
        self._reverted = {
            sha: reason for sha, reason in reasons.select("sha", "reason").iter_rows() if reason.startswith("reverted")
        }

    def about(self, sha: str) -> tuple[Cause | None, str]:
        """(what it is now, or None if the run does not say; why)."""
        if sha in self._reverted:
            return "reverted", self._reverted[sha]
        made = self._funnel.get(("instances", sha))
        if reason := self._left(sha):
            return "left", reason
        if made is not None and made.outcome == "dropped" and made.reason.startswith(NO):
            return "too_slow", made.reason
        if made is not None and made.outcome == "kept":
            return "holds", made.reason
        return None, ""

    def _left(self, sha: str) -> str:
        """Why the configuration does not want the commit; empty if it does, or nothing is known."""
        mined = self._funnel.get(("mining", sha))
        if mined is None:
            return "gone: no longer in the history" if self._mined else ""
        for stage in ("mining", "classify"):
            row = self._funnel.get((stage, sha))
            if row is not None and row.outcome == "dropped":
                return f"{stage}: {row.reason}"
        tested = self._funnel.get(("perftests", sha))
        if tested is not None and tested.outcome == "dropped" and tested.reason.startswith(UNSCRIPTED):
            return f"perftests: {tested.reason}"
        return ""


def _row(instance: Instance, withdrawn: bool, cause: Cause | None, why: str, run_id: str) -> Withdrawal:
    return Withdrawal(
        instance_id=instance.instance_id, repo=instance.repo, head_commit=instance.head_commit, withdrawn=withdrawn,
        cause=cause or "holds", why=why, at=datetime.now(UTC), run_id=run_id,
    )  # fmt: skip
