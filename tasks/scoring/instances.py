"""From the sessions of one commit to an instance, or to the reason why there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from configs.models import EnvironmentConfig, RepositoryConfig, ScoringConfig
from storage.ids import content_hash, instance_id
from storage.store import Store
from storage.tables import Commit, Comparison, Instance, Measurement, PerfTest, Suite, TestDurations
from tasks.scoring.aggregate import Speedup, combine
from tasks.scoring.machines import Fingerprints

RESULTS_NOT_COMPARED = "results_not_compared"
"""Flag of comparisons by perf tests whose result is the same for a stub (see `PerfTest.results_compared`)."""


class MadeInstance(BaseModel):
    """An instance, or why there is none."""

    model_config = ConfigDict(frozen=True)

    sha: str
    instance_id: str | None
    reason: str
    """`no_perf_test`, `incorrect: ...`, `error: ...`, `timeout: ...`, `too_slow: 1.03x [0.99, 1.08]`,
    `inconclusive: ...`, `mixed_machines: ...`, or the instance's speedup."""
    tests: list[str] = []
    """Test ids that the instance keeps, in the order in which the gates chose them."""


def build_instance(
    repository: RepositoryConfig,
    sha: str,
    environment: EnvironmentConfig,
    scoring: ScoringConfig,
    session_ids: Sequence[str],
    store: Store,
    suite_id: str | None = None,
) -> MadeInstance:
    """Decide by the human's comparisons with base in these sessions, and append the instance if it holds.

    A human commit that differs from base on any perf test is rejected: patches are held to base's results on all tests,
    so the reference solution must be too. All other tests count, in the order of `session_ids` and `max_tests` at most:
    whoever keeps the tests that came out fast reports more than there is. Tests were chosen before, on other rounds
    (the gates' screen). Of tests whose results say nothing none is kept, unless there is no other. The repository's own
    tests are those of the row `suite_id` of `suites`. Raises KeyError if the commit is not in the store.
    """
    repo = repository.name
    commits = store.rows(Commit, repo, sha=sha)
    if not commits:
        raise KeyError(f"commit {sha} of {repo} is not in the store")
    rows = store.rows(Comparison, repo, session_id=list(session_ids), arm="human", against="base")
    rows = sorted(rows, key=lambda row: session_ids.index(row.session_id))
    kept, reason = select(rows, scoring)
    mixed = Fingerprints.of(kept, store).mixed(kept)
    if mixed and not scoring.allow_mixed_machines:
        kept, reason = [], mixed
    if not kept:
        return MadeInstance(sha=sha, instance_id=None, reason=reason)
    tests = {test.test_id: test for test in store.rows(PerfTest, repo)}
    scripts = [tests[row.test_id] for row in kept]
    durations = _durations(store.rows(Measurement, repo, session_id=[row.session_id for row in kept]))
    commit, overall = commits[0], combine([speedup_of(row) for row in kept], "geometric")
    found = Instance(
        instance_id=instance_id(repo, sha, commit.pr_number),
        repo=repo,
        repo_url=repository.clone_url,
        created_at=commit.author_date,
        base_commit=commit.parent_sha or "",
        head_commit=sha,
        patch=commit.patch,
        test_patch=commit.test_patch,
        api=scripts[0].api,
        efficiency_test=[test.script for test in scripts],
        test_ids=[test.test_id for test in scripts],
        dialects=[test.dialect for test in scripts],
        results_compared=[RESULTS_NOT_COMPARED not in row.flags for row in kept],
        test_functions=[test.api for test in scripts],
        duration_changes=[durations[row.session_id] for row in kept],
        human_performance=overall.ratio,
        human_ci_low=overall.low,
        human_ci_high=overall.high,
        resolvable=max((share for row in kept if (share := _resolvable(row)) is not None), default=None),
        setup_commands=environment.setup_commands,
        install_commands=environment.install_commands,
        gt_commit_message=commit.message,
        notes=_notes(rows, kept, mixed),
        environment=environment.model_dump_json(),
        **_own_tests(store.rows(Suite, repo, suite_id=suite_id)),
        snapshot=content_hash("snapshot", environment, [test.script for test in scripts], scoring.min_speedup),
    )
    store.append([found])
    return MadeInstance(
        sha=sha, instance_id=found.instance_id, reason=str(overall), tests=[row.test_id for row in kept]
    )


def select(rows: Sequence[Comparison], scoring: ScoringConfig) -> tuple[list[Comparison], str]:
    """The human-against-base comparisons that an instance keeps, or [] and the reason.

    Decided by the mean over all tests, none of which is left out for its time.
    """
    if not rows:
        return [], "no_perf_test"
    for row in rows:
        if row.status == "incorrect":
            return [], f"incorrect: {row.reason}"
    timed = [row for row in rows if row.ratio is not None]
    if not timed:
        return [], f"{rows[0].status}: {rows[0].reason}" if rows[0].status != "ok" else "inconclusive: too few rounds"
    chosen = ([row for row in timed if RESULTS_NOT_COMPARED not in row.flags] or timed)[: scoring.max_tests]
    overall = combine([speedup_of(row) for row in chosen])
    # a test that is fast enough by its interval, and not by its verdict, was not confirmed
    doubted = any(speedup_of(row).verdict(scoring.min_speedup) == "yes" != row.verdict for row in chosen)
    verdict = overall.verdict(scoring.min_speedup)
    if verdict == "yes" and not doubted:
        return chosen, ""
    moved = [row for row in chosen if (row.calls_ci_low or 0.0) >= scoring.min_speedup]
    if verdict == "no" and moved:
        return [], f"moved_work: {overall} with {_charge(moved[0])}, {moved[0].calls_ratio:.2f}x by its calls alone"
    word = "too_slow" if verdict == "no" else "inconclusive"
    of = f" over {len(chosen)} perf tests" if len(chosen) > 1 else ""
    return [], f"{word}: {overall}{of}" + (f", {_charge(moved[0])}" if moved else "")


def _resolvable(row: Comparison) -> float | None:
    """Half width of the human's charge, as a share of base's time per call."""
    if row.charge_s is None or row.charge_ci_high_s is None or not row.against_median_s:
        return None
    return (row.charge_ci_high_s - row.charge_s) / row.against_median_s


def _charge(row: Comparison) -> str:
    """In words, what the human is charged for beside its calls."""
    charge_ms, most_ms = (1000 * (seconds or 0.0) for seconds in (row.charge_s, row.charge_ci_high_s))
    return f"a charge of {charge_ms:.3g} ms per call (at most {most_ms:.3g} ms) for work beside its calls"


def _own_tests(rows: Sequence[Suite]) -> dict[str, Any]:
    """The columns of an instance that its row of `suites` fills; none without one."""
    if not rows:
        return {}
    row = rows[0]
    same = ("pass_to_pass", "tests_of_change", "fail_to_pass", "suite_share", "uncovered_functions", "weakly_checked")
    return {**{name: getattr(row, name) for name in same}, "suite_flaky": row.flaky}


def speedup_of(row: Comparison) -> Speedup:
    """The ratio of a comparison that has one."""
    assert row.ratio is not None and row.ci_low is not None and row.ci_high is not None  # noqa: PT018
    return Speedup(row.ratio, row.ci_low, row.ci_high)


def _durations(rows: Sequence[Measurement]) -> dict[str, TestDurations]:
    """Seconds per call of base and human as comparisons count them, by session, in the order of rounds."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"base": [], "human": []})
    for row in sorted(rows, key=lambda row: row.round):
        if row.arm in ("base", "human") and not (row.warmup or row.confirming):
            call_ns = (row.wall_ns - row.wait_ns) / row.number if row.call_ns is None else row.call_ns
            found[row.session_id][row.arm].append(call_ns / 1e9)
    return {session: TestDurations(base=arms["base"], head=arms["human"]) for session, arms in found.items()}


def _notes(rows: Sequence[Comparison], kept: Sequence[Comparison], mixed: str) -> str:
    dropped = [row for row in rows if row not in kept]
    lines = [f"{row.test_id}: {speedup_of(row)}" for row in kept]
    lines += [f"{row.test_id}: left out, {_why(row)}" for row in dropped]
    lines += [mixed] if mixed else []
    return "\n".join(lines)


def _why(row: Comparison) -> str:
    if RESULTS_NOT_COMPARED in row.flags:
        return "its result says nothing about the work"
    return str(speedup_of(row)) if row.ratio is not None else f"{row.status}: {row.reason}"
