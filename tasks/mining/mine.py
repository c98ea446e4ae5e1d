"""One pass over a history: every change considered becomes a row, kept or dropped, written as the stream goes."""

from __future__ import annotations

import git
import polars as pl

from configs.models import MiningConfig, RepositoryConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Commit
from tasks.mining.changes import Change
from tasks.mining.clone import clone_path
from tasks.mining.content import Dropped, functions_of, patches_of
from tasks.mining.filters import Filters, Judged
from tasks.mining.gitio import open_repository
from tasks.mining.history import Inner, first_parent_chain, inner_commits, read_changes
from tasks.mining.message import pull_request, reverted_sha
from tasks.mining.models import Mined

PART_ROWS = 2000
PART_BYTES = 16 << 20
"""A part is written when it holds this many rows or this much patch text."""
CLASSIFIED = "not_performance"
"""Reason of a change that mining kept and a model then dropped (`tasks.mining.classify`)."""


def filter_version(repository: RepositoryConfig, mining: MiningConfig, code: str = "") -> str:
    """Hash of what decides about a change. `code` is the version of this package's source."""
    settings = mining.model_dump(mode="json", exclude={"max_candidates", "max_commits", "since", "until"})
    return content_hash(settings, sorted(repository.languages), code)


def mine_repository(
    repository: RepositoryConfig, mining: MiningConfig, head_sha: str, store: Store, code: str = ""
) -> Mined:
    """Judge every step of the first-parent history up to `head_sha` and write the rows to `commits`.

    Changes that the same filters (settings and `code`, the version of the judging code) judged before are not read
    again. Parts are written oldest first, so a run that was killed goes on where it stopped. Raises MiningError.
    """
    version = filter_version(repository, mining, code)
    with open_repository(store.work / clone_path(repository.name)) as repo:
        chain = first_parent_chain(repo, head_sha, since=mining.since, until=mining.until, newest=mining.max_commits)
        known = _known(store, repository.name, version)
        todo = [sha for sha in chain if sha not in known]
        kept = {sha: known[sha] for sha in chain if known.get(sha) is not None}
        if todo:
            found, taken_back = _read(
                repo, repository, Filters(mining, repository.languages), todo, head_sha, version, store
            )
            kept |= found
            for sha in taken_back:
                kept.pop(sha, None)
    ranked = sorted(kept, key=lambda sha: (-(kept[sha] or 0.0), sha))
    return Mined(considered=len(chain), kept=ranked, new=len(todo))


def _known(store: Store, repo: str, version: str) -> dict[str, float | None]:
    """Changes that these filters judged before: sha -> score if kept, else None."""
    rows = (
        store.frame(Commit, repo)
        .filter(pl.col("filter_version") == version)
        .select("sha", pl.when(pl.col("kept") | pl.col("reason").str.starts_with(CLASSIFIED)).then(pl.col("score")))
    )
    return dict(rows.iter_rows())


def _read(
    repo: git.Repo,
    repository: RepositoryConfig,
    filters: Filters,
    todo: list[str],
    head_sha: str,
    version: str,
    store: Store,
) -> tuple[dict[str, float | None], set[str]]:
    """Reads and writes what is to do: (kept sha -> score, shas that a later change reverted)."""
    inner = inner_commits(repo, head_sha, _parent_of(repo, todo[0]), filters.keywords.find)
    kept: dict[str, float | None] = {}
    taken_back: dict[str, str] = {}
    part: list[Commit] = []
    size = 0
    for change in read_changes(repo, todo):
        row = _row(repo, repository.name, change, filters, inner.get(change.sha), version)
        if row.kept:
            kept[row.sha] = row.score
        elif row.reason == "revert" and (undone := reverted_sha(row.message)):
            taken_back[undone] = row.sha
        part.append(row)
        size += len(row.patch) + len(row.test_patch)
        if len(part) >= PART_ROWS or size >= PART_BYTES:
            store.append(part)
            part, size = [], 0
    store.append(part)
    for row in store.rows(Commit, repository.name, sha=sorted(taken_back)) if taken_back else []:
        if row.kept:
            reason = f"reverted: by {taken_back[row.sha][:12]}"
            store.append([row.model_copy(update={"kept": False, "reason": reason})])
    return kept, set(taken_back)


def _parent_of(repo: git.Repo, sha: str) -> str | None:
    parents = repo.git.rev_list("--parents", "-n1", sha, "--").split()[1:]
    return parents[0] if parents else None


def _row(repo: git.Repo, name: str, change: Change, filters: Filters, inner: Inner | None, version: str) -> Commit:
    judged = filters.judge(change, inner)
    functions: list[str] = []
    patch = test_patch = ""
    if judged.kept:
        try:
            functions = functions_of(repo, judged.code, keep_new_code=filters.config.keep_new_code)
            patch, test_patch = patches_of(repo, change)
        except Dropped as dropped:
            judged.kept, judged.reason = False, str(dropped)
            functions = []
    return Commit(
        repo=name,
        sha=change.sha,
        parent_sha=change.parents[0] if change.parents else None,
        author_date=change.author_date,
        subject=change.subject,
        message=change.message,
        author=change.author,
        pr_number=pull_request(change.subject),
        inner_shas=inner.shas if inner else [],
        score=judged.score.value,
        score_features=judged.score.features,
        files=[file.path for file in change.files],
        additions=judged.additions,
        deletions=judged.deletions,
        patch=patch,
        test_patch=test_patch,
        functions_changed=functions,
        kept=judged.kept,
        reason=judged.reason,
        filter_version=version,
    )


__all__ = ["CLASSIFIED", "Judged", "filter_version", "mine_repository"]
