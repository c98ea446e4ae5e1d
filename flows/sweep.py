"""Sweep a history: time the repository's own tests over many commits, and find the changes where they got faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import runtime

from flows.engine.ending import state_of
from flows.engine.flows import recipe
from flows.parameters import ConfigSource, Overrides, RetryWords, StorePlace, read_config, repository_of
from flows.stages.mining import mine
from flows.stages.of_dataset import dataset_run
from flows.stages.sweeping import Sweep, changes_of, choose_tests, compare_windows, confirm, halve, leave
from flows.summaries import SweepStep, SweepSummary
from storage.ids import content_hash
from storage.tables import Commit, SweepComparison
from tasks.sweeping.searching import Span, windows


@recipe("sweep", lambda: f"sweep {repository_of((runtime.flow_run.parameters or {}).get('config'))}")
def sweep(
    config: ConfigSource,
    store: StorePlace = None,
    null: bool = False,
    settings: Overrides = [],  # noqa: B006  Prefect copies it
    retry: RetryWords = [],  # noqa: B006
) -> Any:
    """Find changes that made the repository's own tests faster, whatever their message says.

    The history is cut into windows (`sweep.window`). In each, the tests that spend most time in what changed there are
    timed at its first and last commit, in one session; where a test got `sweep.min_step` times as fast, the window is
    halved until one change is left, which is timed once more at a confidence that is corrected for the number of all
    comparisons. Every comparison is a row of `sweep_comparisons`. `null` times the first commit of each window against
    itself instead: the rate of false steps. What was timed before comes from the cache.

    Raises ConfigError, MiningError. What cannot be timed is noted and does not stop the rest.
    """
    loaded = read_config(config, settings)
    run_id = f"sweep-{content_hash(loaded.model_dump(mode='json', exclude={'store'}), null, length=8)}"
    with dataset_run(loaded, store, [], run_id, retry) as (run, loaded):
        mine(config=loaded, store=run.store.root, run_id=run.run_id)
        found = Sweep(run, loaded, null)
        found.chain = changes_of(run, loaded)
        settings_of = loaded.sweep
        spans = windows(len(found.chain), settings_of.window, settings_of.max_windows)
        chosen = choose_tests(found, spans)
        searched = compare_windows(found, chosen)
        while pending := [one for one in searched if one.search.pending]:
            if found.left < sum(len(one.search.pending) for one in pending):
                leave(found, pending)
                break
            halve(found, pending)
        steps = confirm(found, searched)
        run.funnel.write()
        return state_of(_summary(found, spans, steps))


def _summary(sweep: Sweep, spans: Sequence[Span], steps: Sequence[SweepComparison]) -> SweepSummary:
    run = sweep.run
    by_sha = {row.sha: row for row in run.store.rows(Commit, sweep.repo, sha=[step.head_sha for step in steps])}
    found: dict[str, SweepStep] = {}
    for step in sorted(steps, key=lambda row: -(row.ratio or 0)):
        commit = by_sha.get(step.head_sha)
        found.setdefault(
            step.head_sha,
            SweepStep(
                sha=step.head_sha, n_changes=step.n_changes, test=step.test, ratio=step.ratio or 0.0,
                ci_low=step.ci_low or 0.0, ci_high=step.ci_high or 0.0, subject=commit.subject if commit else "",
                mined=bool(commit and commit.kept), reason=commit.reason if commit else "",
            ),
        )  # fmt: skip
    return SweepSummary(
        run_id=run.run_id, store=run.store.root, executed=run.executed, cached=run.cached, failures=run.failures(),
        known=run.funnel.known(), missing=run.missing, repo=sweep.repo, windows=len(spans),
        changes=sum(span.size for span in spans), comparisons=len(sweep.rows),
        timed_s=round(sum(row.duration_s for row in sweep.rows), 1), steps=list(found.values()), null=sweep.null,
        false_steps=sum(row.verdict == "yes" for row in sweep.rows) if sweep.null else 0,
    )  # fmt: skip
