"""The story of one commit, from what mining saw to the verdict, as titled lines for one page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from configs.errors import UserError
from storage.scripts import workload_name
from storage.store import Store
from storage.tables import (
    Api,
    Commit,
    Comparison,
    Contract,
    EnvironmentTry,
    Funnel,
    Instance,
    PerfTest,
    Suite,
    TimedSession,
)
from tasks.reporting.advice import advice_for
from tasks.reporting.tables import STAGES

MAX_APIS = 8
_PREFIX = re.compile(r"[0-9a-f]{4,40}")


@dataclass(frozen=True)
class Section:
    """A part of the story."""

    title: str
    lines: list[str] = field(default_factory=list)


def story_of(store: Store, sha: str, repo: str | None = None) -> list[Section]:
    """What happened to a commit; `sha` may be a prefix of at least four digits. Raises UserError if there is none, or
    several.
    """
    commit = _commit(store, sha.lower(), repo)
    tests = store.rows(PerfTest, commit.repo, sha=commit.sha)
    keys = {commit.sha, *(test.test_id for test in tests)}
    notes = [row for row in store.rows(Funnel, commit.repo) if row.key in keys]
    latest = {(row.stage, row.key): row for row in notes}
    noted = {stage: row for (stage, key), row in latest.items() if key == commit.sha}
    sections = [
        Section("Commit", _about(commit)),
        Section("Mining", _mining(commit, noted)),
        Section("APIs", _apis(store, commit, noted)),
        Section("Environment", [*_noted(noted, "environments", "not asked for"), *_ladder(store, commit)]),
        Section("Perf tests", _tests(tests, noted)),
        Section("Sessions", _sessions(store, tests)),
        Section("Repository's own tests", _suite(store, commit)),
        Section("Verdict", _verdict(store, commit, noted)),
    ]
    return [section for section in sections if section.lines]


def _commit(store: Store, sha: str, repo: str | None) -> Commit:
    if not store.exists():
        raise UserError(f"no store at {store.root}: `isobench demo` makes one, or name another with --store")
    if not _PREFIX.fullmatch(sha):
        raise UserError(f"{sha!r} is no commit: give at least four hexadecimal digits of its sha")
    frame = store.frame(Commit, repo, columns=("sha", "repo", "subject"))
    found = [row for row in frame.select("sha", "repo", "subject").iter_rows() if row[0].startswith(sha)]
    if not found:
        raise UserError(f"no commit {sha} in {store.root}: `isobench show commits` lists what mining has seen")
    if len(found) > 1:
        several = "; ".join(f"{full[:12]} {subject}" for full, _, subject in found[:5])
        raise UserError(f"{len(found)} commits begin with {sha}: {several}; give more digits, or --repo")
    return store.rows(Commit, found[0][1], sha=found[0][0])[0]


def _about(commit: Commit) -> list[str]:
    number = f", pull request {commit.pr_number}" if commit.pr_number else ""
    return [
        f"{commit.subject}",
        f"{commit.repo}@{commit.sha}, {commit.author_date:%Y-%m-%d}, by {commit.author or 'unknown'}{number}",
        f"{len(commit.files)} files, +{commit.additions} -{commit.deletions}: {', '.join(commit.files[:6])}",
        f"changed functions: {_some(commit.functions_changed, 6) or 'none'}",
    ]


def _mining(commit: Commit, noted: dict[str, Funnel]) -> list[str]:
    lines = [f"{'kept' if commit.kept else 'dropped'}, score {commit.score:g}: {commit.reason}"]
    if commit.score_features:
        lines.append(f"features: {', '.join(commit.score_features)}")
    for stage in ("mining", "classify"):
        row = noted.get(stage)
        if row is not None and row.outcome != "kept":
            lines += _told(stage, row)
    return lines


def _apis(store: Store, commit: Commit, noted: dict[str, Funnel]) -> list[str]:
    rows = sorted(store.rows(Api, commit.repo, sha=commit.sha), key=lambda row: row.rank)
    lines = [] if rows else _noted(noted, "apis", "not looked for")
    for row in rows[:MAX_APIS]:
        sure = f", {row.guesses} of its steps guessed" if row.guesses else ""
        lines.append(f"{row.rank}. {row.api} (in {row.exposure} tests, docs and benchmarks{sure})")
        if len(row.evidence) > 1:
            lines.append(f"   {' > '.join(row.evidence)}")
    if len(rows) > MAX_APIS:
        lines.append(f"and {len(rows) - MAX_APIS} more: isobench show apis --where sha={commit.sha[:10]}")
    for contract in store.rows(Contract, commit.repo, sha=commit.sha):
        if contract.is_changed:
            changed = [*(f"+{name}" for name in contract.added), *(f"-{name}" for name in contract.removed)]
            lines.append(f"public names that change: {_some([*changed, *contract.changed], 5)}")
    return lines


def _ladder(store: Store, commit: Commit) -> list[str]:
    """What was tried for an environment, in order, and where the steps' output lies."""
    lines = []
    rows = store.rows(EnvironmentTry, commit.repo, sha=commit.sha)
    for row in sorted(rows, key=lambda row: (row.sandbox, row.asked, row.number)):
        used = ", in use" if row.chosen else ""
        lines.append(f"{row.number}. {row.sandbox}, Python {row.python}, {row.step}: {row.outcome}{used}")
        lines += [f"   {row.reason}"] if row.reason else []
        lines += [f"   to do: {row.advice}"] if row.advice else []
        lines += [f"   log: {store.work / row.log}"] if row.log else []
    return lines


def _tests(tests: Sequence[PerfTest], noted: dict[str, Funnel]) -> list[str]:
    lines = []
    for test in sorted(tests, key=lambda test: (test.status, -(test.screen_speedup or 0.0))):
        seen = [
            f"{test.base_duration_s:.3g} s on base" if test.base_duration_s is not None else "",
            f"{test.screen_speedup:.3g}x on the screen" if test.screen_speedup is not None else "",
            f"runs {test.line_share_base:.0%} of the lines taken away" if test.line_share_base is not None else "",
            f"runs {test.line_share_human:.0%} of the lines added" if test.line_share_human is not None else "",
            "its results are not compared" if not test.results_compared else "",
            *(test.flags),
        ]
        lines.append(f"{test.status}: {workload_name(test.script) or test.api} ({test.source}, {test.test_id[:10]})")
        lines.append(f"   {'; '.join(filter(None, seen)) or 'nothing was measured'}")
        if test.reason:
            lines.append(f"   {test.reason}")
            lines += [f"   to do: {todo}" for todo in [advice_for("perftests", test.reason)] if todo]
    row = noted.get("perftests")
    return lines + (_told("perftests", row) if row is not None and (row.outcome != "kept" or not tests) else [])


def _sessions(store: Store, tests: Sequence[PerfTest]) -> list[str]:
    names = {test.test_id: workload_name(test.script) or test.api for test in tests}
    if not names:
        return []
    rows = store.rows(Comparison, tests[0].repo, test_id=list(names), against="base")
    timed = {row.session_id: row for row in store.rows(TimedSession, tests[0].repo, test_id=list(names))}
    lines = []
    for row in sorted(rows, key=lambda row: (row.session_id, row.arm)):
        ratio = f"{row.ratio:.3g}x [{row.ci_low:.3g}, {row.ci_high:.3g}]" if row.ratio is not None else row.status
        session = timed.get(row.session_id)
        where = f", {session.sandbox}, {session.duration_s:.0f} s" if session is not None else ""
        lines.append(f"{row.arm}: {ratio}, at {row.question or 0:g}x {row.verdict}: {names[row.test_id]}")
        lines.append(f"   {row.n_rounds} rounds{where}, session {row.session_id}")
        if row.reason or row.flags:
            lines.append(f"   {'; '.join(filter(None, [row.reason, *row.flags]))}")
    return lines


def _suite(store: Store, commit: Commit) -> list[str]:
    lines = []
    for row in store.rows(Suite, commit.repo, sha=commit.sha):
        weak = ", weakly checked" if row.weakly_checked else ""
        lines.append(f"{len(row.pass_to_pass)} of {row.collected} tests judge patches, {row.flaky} are flaky{weak}")
        lines += [row.reason] if row.reason else []
    return lines


def _verdict(store: Store, commit: Commit, noted: dict[str, Funnel]) -> list[str]:
    for made in store.rows(Instance, commit.repo, head_commit=commit.sha):
        low, high = made.human_ci_low or 0.0, made.human_ci_high or 0.0
        return [f"instance {made.instance_id}: {made.human_performance:.2f}x [{low:.2f}, {high:.2f}]"]
    last = next((stage for stage in reversed(STAGES) if stage in noted), None)
    if last is None:
        return [
            f"no instance: mining dropped it ({commit.reason})" if not commit.kept else "no instance: no run took it"
        ]
    row = noted[last]
    if row.outcome == "kept":
        return [f"no instance yet: it passed {last}, and no run went on from there"]
    return [f"no instance: ended at {last}", *_told(last, row)]


def _noted(noted: dict[str, Funnel], stage: str, otherwise: str) -> list[str]:
    return _told(stage, noted[stage]) if stage in noted else [otherwise]


def _told(stage: str, row: Funnel) -> list[str]:
    lines = [f"{row.outcome}: {row.reason}" if row.reason else row.outcome]
    todo = advice_for(stage, row.reason) if row.outcome != "kept" else ""
    return [*lines, *([f"to do: {todo}"] if todo else [])]


def _some(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def lines_of_story(sections: Sequence[Section]) -> Iterator[str]:
    """The story as text."""
    for section in sections:
        yield section.title
        yield from (f"  {line}" for text in section.lines for line in text.splitlines())
        yield ""
