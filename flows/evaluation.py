"""Evaluate predictions: time model patches beside the human's, score them, and report Opt@K."""

from __future__ import annotations

from collections import Counter
from typing import Any

from configs.models import SandboxConfig, ScoringConfig, SuiteConfig, TimingConfig
from flows.engine.ending import state_of
from flows.engine.flows import recipe
from flows.engine.run import Run
from flows.parameters import Dataset, Files, RetryWords, RunName, StorePlace
from flows.stages.evaluating import build_patched_arms, check_suites, read_predictions, time_patches
from flows.stages.of_evaluation import Evaluation, evaluation_run, run_label
from flows.stages.scores import rank, score_patches, scores_of
from flows.summaries import EvaluationSummary
from storage.tables import Instance, Score
from tasks.reporting.tables import opt_table
from tasks.timing.gpu import gpus_for

STAGES = (read_predictions, build_patched_arms, check_suites, time_patches, score_patches, rank)
ALONE = {stage.stage: stage for stage in STAGES}
"""Stages by name: each is a flow of its own."""


@recipe("evaluate", lambda: f"evaluate {run_label()}")
def evaluate(
    dataset: Dataset,
    predictions: Files,
    k: int = 1,
    store: StorePlace = None,
    run_id: RunName = None,
    sandbox: SandboxConfig | None = None,
    timing: TimingConfig | None = None,
    scoring: ScoringConfig | None = None,
    suite: SuiteConfig | None = None,
    retry: RetryWords = [],  # noqa: B006  Prefect copies it
) -> Any:
    """Score prediction files against a dataset.

    `dataset` is a store, or a .jsonl or .parquet file of canonical instances; `predictions` are files in the field's
    format (`instance_id, model_patch, model_name_or_path`); Opt@K is reported for 1..`k`. Results go to `store`, by
    default the dataset's own, or `./store` for a file. All arms of an instance (base, human and every distinct patch)
    are timed in one session per perf test, but for patches that fail the repository's own tests. Without a `run_id` it
    is made of the content of all this, not of any path. `retry` names what is made again though it was done.

    Where there is no sandbox for builds, and for what a row reaches of the user's, `sandbox.trust` must be true.

    Raises NotTrusted, which lists what would run, if it is not; DatasetError if the dataset or a prediction file cannot
    be read at all; single bad lines are listed in
    `EvaluationSummary.problems`. An instance that fails is recorded in the funnel and does not stop the others; the
    flow's run then ends as Failed, and Python gets the summary all the same.
    """
    chosen = (sandbox, timing, scoring, suite)
    with evaluation_run(dataset, predictions, k, store, run_id, *chosen, retry) as (run, evaluation):
        gpus_for(evaluation.timing, evaluation.sandbox)  # rather now than after hours
        for stage in STAGES:
            stage(
                dataset=dataset, predictions=evaluation.files, k=k, store=run.store.root, run_id=run.run_id,
                sandbox=sandbox, timing=timing, scoring=scoring, suite=suite,
            )  # fmt: skip
        run.publish_table("opt-at-k", opt_table(run.store, run.run_id), f"Opt@K of run {run.run_id}")
        run.publish_report()
        return state_of(_summary(run, evaluation))


def _summary(run: Run, evaluation: Evaluation) -> EvaluationSummary:
    tried, attempts, scores = evaluation.tried(run), evaluation.attempts(run), scores_of(run, evaluation)
    return EvaluationSummary(
        run_id=run.run_id, store=run.store.root, executed=run.executed, cached=run.cached, failures=run.failures(),
        known=run.funnel.known(), instances=[row.instance_id for row in tried],
        unattempted=len(evaluation.instances) - len(tried), predictions=sum(map(len, attempts.values())),
        statuses=Counter(row.status for row in scores), opt_at_k=run.memory.get("opt_at_k", []),
        problems=[*evaluation.problems, *run.memory.get("problems", [])],
        missing=[*run.missing, *_missing(evaluation.instances, tried, scores, bool(evaluation.files))],
        forgiven=sum(row.stage == "checkouts" and row.outcome == "kept" for row in run.rows()),
    )  # fmt: skip


def _missing(instances: list[Instance], tried: list[Instance], scores: list[Score], named: bool = True) -> list[str]:
    """What an evaluation was asked for and did not do, each with the reason; `named`: whether any file was."""
    if not instances:
        return ["the dataset holds no instance that can be used: nothing was timed"]
    if not named:
        return ["no file of predictions was named: nothing was timed"]
    if not tried:
        return [f"no prediction is for one of the {len(instances)} instances of the dataset: nothing was timed"]
    untimed = Counter(row.reason for row in scores if row.status == "not_timed")
    found = [f"{count} predictions were not timed: {reason}" for reason, count in sorted(untimed.items())]
    if scores and untimed.total() == len(scores):
        found.append(f"nothing was timed, so none of the {len(scores)} predictions has an answer")
    return found
