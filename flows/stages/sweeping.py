"""What a sweep does: choose windows and tests, time them, halve what got faster, confirm what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from configs.models import Config
from flows.engine.run import Run
from flows.stages.checkouts import ArmWanted, build_environments, check_out_arms
from storage.ids import content_hash
from storage.tables import Commit, SweepComparison
from tasks.code.paths import PathKinds
from tasks.mining.stage import read_chain, read_span
from tasks.perftests.models import FoundTest
from tasks.perftests.stage import find_tests
from tasks.sandbox.models import Arm, Environment
from tasks.sweeping.searching import Search, Span, code_changes, corrected
from tasks.timing.models import Session
from tasks.timing.stage import time_arms

STAGE = "sweep"


@dataclass
class Searched:
    """One test in one window."""

    window: Span
    test: FoundTest
    search: Search


@dataclass
class Sweep:
    """What a sweep knows while it runs."""

    run: Run
    config: Config
    null: bool
    chain: list[str] = field(default_factory=list)
    """Commits that touch code, oldest first."""
    environments: dict[Span, Environment] = field(default_factory=dict)
    rows: list[SweepComparison] = field(default_factory=list)

    @property
    def repo(self) -> str:
        """`owner/name`."""
        return self.config.repository.name

    @property
    def name(self) -> str:
        """Hash of what decides what is compared."""
        parts = self.config.model_dump(mode="json", include={"sweep", "timing", "sandbox", "environment"})
        return content_hash("sweep", parts, self.null, length=12)

    def told(self, span: Span) -> str:
        """`<base>..<head>`, ten digits each."""
        return f"{self.chain[span.first][:10]}..{self.chain[span.last][:10]}"

    @property
    def left(self) -> int:
        """Sessions that may still be held."""
        return self.config.sweep.max_sessions - len(self.rows)


def changes_of(run: Run, config: Config) -> list[str]:
    """The main branch's commits that touch code of the project, oldest first, within the configured dates."""
    chain = run.must(
        "history", read_chain, repository=config.repository, mining=config.mining, head_sha=run.memory["head_sha"]
    )
    run.memory["dates"] = chain.dates
    kinds = PathKinds(config.repository.languages, config.mining.exclude_paths)
    frame = run.store.frame(Commit, config.repository.name, columns=("files",))
    files = dict(frame.select("sha", "files").iter_rows())
    touching = [any(kinds.kind(path) == "code" for path in files.get(sha) or []) for sha in chain.shas]
    return code_changes(chain.shas, touching)


def choose_tests(sweep: Sweep, spans: Sequence[Span]) -> list[tuple[Span, FoundTest]]:
    """Windows with their tests, as workloads; a window without a test says why in the funnel."""
    run, config = sweep.run, sweep.config
    keys = {sweep.told(span): span for span in spans}
    changed = run.map(
        STAGE,
        read_span,
        {
            key: {
                "repository": config.repository, "mining": config.mining, "base_sha": sweep.chain[span.first],
                "head_sha": sweep.chain[span.last],
            }
            for key, span in keys.items()
        },
        repo=sweep.repo,
    )  # fmt: skip
    built = build_environments(
        run,
        {
            key: {
                "repository": config.repository, "environment": config.environment, "sandbox": config.sandbox,
                "base_sha": sweep.chain[span.first], "head_sha": sweep.chain[span.last],
                "date": run.memory["dates"][sweep.chain[span.last]],
            }
            for key, span in keys.items()
            if key in changed and changed[key].functions
        },
        sweep.repo,
    )  # fmt: skip
    sweep.environments = {keys[key]: environment for key, environment in built.items()}
    arms = _arms(sweep, [(keys[key], keys[key]) for key in built])
    perf_tests = config.perf_tests.model_copy(update={"tests_per_commit": config.sweep.tests_per_window})
    found = run.map(
        STAGE,
        find_tests,
        {
            sweep.told(span): {
                "repo": sweep.repo, "perf_tests": perf_tests, "sandbox": config.sandbox,
                "files": changed[sweep.told(span)].files, "functions": changed[sweep.told(span)].functions,
                "base": base, "human": human,
            }
            for (span, _), (base, human) in arms.items()
        },
        repo=sweep.repo,
    )  # fmt: skip
    for key, span in keys.items():
        answer = found.get(key)
        if answer is not None:
            reason = answer.reason or f"{len(answer.tests)} tests"
            run.note(STAGE, key, "kept" if answer.tests else "dropped", reason, repo=sweep.repo)
        elif key in changed and not changed[key].functions:
            run.note(STAGE, key, "dropped", "no function differs", repo=sweep.repo)
        elif key in changed and (span, span) not in arms:
            run.note(STAGE, key, "dropped", "no environment in which both of its ends import", repo=sweep.repo)
    return [(keys[key], test) for key, answer in found.items() for test in answer.tests]


def _arms(sweep: Sweep, asked: Iterable[tuple[Span, Span]]) -> dict[tuple[Span, Span], tuple[Arm, Arm]]:
    """(Window, two of its commits) -> both checked out; without those that cannot be."""
    config = sweep.config
    keys = {f"{sweep.told(window)} {sweep.told(pair)}": (window, pair) for window, pair in asked}
    wanted = [
        ArmWanted(key, name, config.repository, config.environment, sweep.environments[window], sweep.chain[at])
        for key, (window, pair) in keys.items()
        for name, at in (("base", pair.first), ("human", pair.last))
    ]
    made, _ = check_out_arms(sweep.run, config.sandbox, wanted, sweep.repo)
    return {keys[key]: (arms["base"], arms["human"]) for key, arms in made.items() if len(arms) == 2}


def compare_windows(sweep: Sweep, chosen: Sequence[tuple[Span, FoundTest]]) -> list[Searched]:
    """Time every test at both ends of its window (with `null`: at the first twice); what got faster is searched."""
    asked = [(Searched(span, test, Search(sweep.config.sweep.min_step)), span) for span, test in chosen][: sweep.left]
    found = []
    for (one, span), row in zip(asked, _time(sweep, asked, "null" if sweep.null else "window"), strict=True):
        if row.verdict == "yes" and row.ratio is not None:
            one.search.begin(span, row.ratio)
            found.append(one)
    for span, test in chosen[len(asked) :]:
        key = f"{sweep.told(span)} {test.name}"
        sweep.run.note(STAGE, key, "dropped", "not timed: sweep.max_sessions is used up", repo=sweep.repo)
    return [] if sweep.null else found


def halve(sweep: Sweep, pending: Sequence[Searched]) -> None:
    """One more commit for every span that is left, each timed against the first of its span."""
    asked: list[tuple[Searched, Span, int, float]] = []
    for one in pending:
        spans, one.search.pending = one.search.pending, []
        for span, ratio in spans:
            middle = one.search.middle(span)
            if middle is None:
                one.search.steps.append((span, ratio))
            else:
                asked.append((one, span, middle, ratio))
    rows = _time(sweep, [(one, Span(span.first, middle)) for one, span, middle, _ in asked], "half")
    for (one, span, middle, ratio), row in zip(asked, rows, strict=True):
        one.search.answer(span, ratio, middle, row.ratio)


def leave(sweep: Sweep, pending: Sequence[Searched]) -> None:
    """Note what is known of spans that no session is left for."""
    for one in pending:
        for span, ratio in one.search.pending:
            key = f"{sweep.told(span)} {one.test.name}"
            reason = f"{ratio:.2f}x somewhere in {span.size} changes; sweep.max_sessions is used up"
            sweep.run.note(STAGE, key, "dropped", reason, repo=sweep.repo)


def confirm(sweep: Sweep, searched: Sequence[Searched]) -> list[SweepComparison]:
    """Time every step anew, with an interval that holds for all comparisons of the sweep together."""
    asked = [(one, span) for one in searched for span, _ in one.search.steps]
    rows = _time(sweep, asked, "step", corrected(sweep.config.timing.confidence, len(sweep.rows) + len(asked)))
    for row in rows:
        told = f"{row.ratio:.2f}x [{row.ci_low:.2f}, {row.ci_high:.2f}]" if row.ratio is not None else row.reason
        key = f"{row.base_sha[:10]}..{row.head_sha[:10]} {row.test}"
        sweep.run.note(STAGE, key, "kept" if row.verdict == "yes" else "dropped", told, repo=sweep.repo)
    return [row for row in rows if row.verdict == "yes"]


def _time(
    sweep: Sweep, asked: Sequence[tuple[Searched, Span]], kind: Any, confidence: float | None = None
) -> list[SweepComparison]:
    """One session for each test and pair of commits, as rows in the order asked for."""
    config, confidence = sweep.config, confidence or sweep.config.timing.confidence
    timing = config.timing.model_copy(update={"confidence": confidence})
    scoring = config.scoring.model_copy(update={"min_speedup": config.sweep.min_step})
    timed = [(one, Span(span.first, span.first) if kind == "null" else span) for one, span in asked]
    arms = _arms(sweep, [(one.window, pair) for one, pair in timed])
    items = {
        _key(sweep, one, pair): {
            "repo": sweep.repo, "instance_id": None, "arms": list(arms[one.window, pair]),
            "test_id": one.test.test_id, "script": one.test.script, "dialect": "isobench", "timing": timing,
            "scoring": scoring, "sandbox": config.sandbox, "results_compared": False,
        }
        for one, pair in timed
        if (one.window, pair) in arms
    }  # fmt: skip
    sessions = sweep.run.map("timing", time_arms, items, repo=sweep.repo)
    rows = [_row(sweep, one, pair, kind, confidence, sessions.get(_key(sweep, one, pair))) for one, pair in timed]
    sweep.run.store.append(rows)
    sweep.rows += rows
    return rows


def _key(sweep: Sweep, one: Searched, span: Span) -> str:
    return f"{sweep.told(span)} {one.test.test_id}"


def _row(
    sweep: Sweep, one: Searched, span: Span, kind: Any, confidence: float, session: Session | None
) -> SweepComparison:
    outcome = session.outcome_of("human") if session else None
    answer = next(iter(outcome.answers), None) if outcome else None
    timed = outcome is not None and outcome.status == "ok" and answer is not None and answer.ratio is not None
    reason = "" if timed else (session.base_failure or outcome.describe() if session and outcome else "not timed")
    return SweepComparison(
        repo=sweep.repo, sweep=sweep.name, test_id=one.test.test_id, test=one.test.name, window=sweep.told(one.window),
        kind=kind, base_sha=sweep.chain[span.first], head_sha=sweep.chain[span.last], n_changes=span.size,
        verdict=answer.verdict if timed and answer else "failed",
        ratio=answer.ratio if timed and answer else None, ci_low=answer.ci_low if timed and answer else None,
        ci_high=answer.ci_high if timed and answer else None, confidence=confidence, reason=reason,
        session_id=session.session_id if session else "", duration_s=session.duration_s if session else 0.0,
    )  # fmt: skip
