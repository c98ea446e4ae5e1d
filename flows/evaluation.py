"""Evaluate predictions: time model patches beside the human's, score them, and report Opt@K."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from configs.models import RepositoryConfig, SandboxConfig, ScoringConfig, SuiteConfig, TimingConfig
from flows.engine.run import Run
from flows.engine.task_runner import task_runner
from flows.stages.checkouts import ArmWanted, check_out_arms, cloned, instance_environments
from flows.stages.suites import TESTS, check_patches
from flows.stages.timing import time_all
from flows.summaries import EvaluationSummary
from flows.trust import environment_of, must_be_trusted, needs_trust
from storage.exchange.read import read_instances
from storage.ids import content_hash, patch_id
from storage.scripts import perf_tests_of
from storage.store import Store
from storage.tables import Instance, Prediction, Score
from tasks.agents.predictions import file_digest
from tasks.agents.stage import load_predictions
from tasks.reporting.tables import opt_table
from tasks.sandbox.models import Arm
from tasks.scoring.stage import rank_models, score_predictions
from tasks.timing.gpu import gpus_for


@flow(name="evaluate", task_runner=task_runner(), validate_parameters=False)
def evaluate(
    dataset: str | Path,
    predictions: Sequence[str | Path],
    k: int = 1,
    store: str | Path | None = None,
    run_id: str | None = None,
    sandbox: SandboxConfig | None = None,
    timing: TimingConfig | None = None,
    scoring: ScoringConfig | None = None,
    suite: SuiteConfig | None = None,
) -> EvaluationSummary:
    """Score prediction files against a dataset.

    `dataset` is a store, or a .jsonl or .parquet file of canonical instances; `predictions` are files in the field's
    format (`instance_id, model_patch, model_name_or_path`); Opt@K is reported for 1..`k`. Results go to `store`, by
    default the dataset's own, or `./store` for a file. All arms of an instance (base, human and every distinct patch)
    are timed in one session per perf test, but for patches that fail the repository's own tests. Without a `run_id` it
    is made of the content of all this, not of any path.

    Where there is no sandbox for builds, and for what a row reaches of the user's, `sandbox.trust` must be true.

    Raises NotTrusted, which lists what would run, if it is not; DatasetError if the dataset or a prediction file cannot
    be read at all; single bad lines are listed in
    `EvaluationSummary.problems`. An instance that fails is recorded in the funnel and does not stop the others.
    """
    instances, problems = read_instances(dataset)
    results = Store(store or (dataset if Path(dataset).is_dir() or "://" in str(dataset) else "./store"))
    files = [str(path) for path in predictions]
    settings = _Settings(
        sandbox or SandboxConfig(), timing or TimingConfig(), scoring or ScoringConfig(), suite or SuiteConfig()
    )
    run = Run(results, run_id or default_run_id(instances, files, *vars(settings).values()))
    if not settings.sandbox.trust and (asked := needs_trust(instances, dataset, settings.sandbox, results)):
        raise must_be_trusted(dataset, asked)
    try:
        return _evaluate(run, instances, files, k, settings, problems)
    finally:
        run.close()


def default_run_id(instances: Sequence[Instance], files: Sequence[str | Path], *settings: BaseModel) -> str:
    """`eval-<8 hex digits>` from what is evaluated and how, so that an identical evaluation is the same run.

    Where files lie, or the repository's clone, and the order of the instances do not count; the order of the prediction
    files does, since it numbers the samples. Raises DatasetError if a prediction file cannot be read.
    """
    rows = sorted(
        (row.model_dump(mode="json", exclude={"repo_url"}) for row in instances), key=itemgetter("instance_id")
    )
    return f"eval-{content_hash(rows, [file_digest(path) for path in files], settings, length=8)}"


class _Settings:
    def __init__(
        self, sandbox: SandboxConfig, timing: TimingConfig, scoring: ScoringConfig, suite: SuiteConfig
    ) -> None:
        self.sandbox, self.timing, self.scoring, self.suite = sandbox, timing, scoring, suite


def _evaluate(
    run: Run, instances: list[Instance], files: list[str], k: int, settings: _Settings, problems: list[str]
) -> EvaluationSummary:
    gpus_for(settings.timing, settings.sandbox)  # rather now than after hours
    known = {row.instance_id: row for row in run.store.rows(Instance)}
    run.store.append(row for row in instances if known.get(row.instance_id) != row)
    loaded = run.call("predictions", load_predictions, files=files, instance_ids=[row.instance_id for row in instances])
    attempts = _attempts(run.store, loaded.prediction_ids if loaded else [])
    tried = [row for row in instances if row.instance_id in attempts]
    arms, failed = _arms(run, tried, attempts, settings)
    checked = check_patches(run, tried, arms, settings.suite, settings.sandbox)
    sessions = _time(run, tried, checked.arms, settings)
    scored = run.map(
        "scores",
        score_predictions,
        {
            row.instance_id: {
                "instance_id": row.instance_id,
                "prediction_ids": [prediction.prediction_id for prediction in attempts[row.instance_id]],
                "session_ids": sessions.get(row.instance_id, []),
                "failed_patches": failed.get(row.instance_id, {}),
                "scoring": settings.scoring,
                "run_id": run.run_id,
                "incorrect_patches": checked.incorrect.get(row.instance_id, {}),
                "weakly_checked": row.instance_id not in checked.well_checked,
            }
            for row in tried
        },
    )
    for result in scored.values():
        for prediction_id in result.statuses:
            solved = prediction_id in result.solved
            run.note("scores", prediction_id, "kept" if solved else "dropped", result.outcome(prediction_id))
    scores = {row.prediction_id: row for row in run.store.rows(Score, run_id=run.run_id)}
    mine = [scores[p.prediction_id] for group in attempts.values() for p in group if p.prediction_id in scores]
    ranked = run.call(
        "opt_at_k",
        rank_models,
        run_id=run.run_id,
        k=k,
        instance_ids=[row.instance_id for row in tried],
        scores=sorted((row.prediction_id, row.status, row.opt_human, str(row.weakly_checked)) for row in mine),
    )
    run.publish_table("opt-at-k", opt_table(run.store, run.run_id), f"Opt@K of run {run.run_id}")
    run.publish_report()
    return EvaluationSummary(
        run_id=run.run_id,
        store=run.store.root,
        executed=run.executed,
        cached=run.cached,
        failures=run.failures(),
        instances=[row.instance_id for row in tried],
        unattempted=len(instances) - len(tried),
        predictions=sum(map(len, attempts.values())),
        statuses=Counter(row.status for row in mine),
        opt_at_k=ranked.rows if ranked else [],
        problems=[*problems, *(loaded.problems if loaded else [])],
        missing=[*run.missing, *_missing(instances, tried, mine)],
        forgiven=sum(row.stage == "checkouts" and row.outcome == "kept" for row in run.rows()),
    )


def _missing(instances: list[Instance], tried: list[Instance], scores: list[Score]) -> list[str]:
    """What an evaluation was asked for and did not do, each with the reason."""
    if not instances:
        return ["the dataset holds no instance that can be used: nothing was timed"]
    if not tried:
        return [f"no prediction is for one of the {len(instances)} instances of the dataset: nothing was timed"]
    untimed = Counter(row.reason for row in scores if row.status == "not_timed")
    found = [f"{count} predictions were not timed: {reason}" for reason, count in sorted(untimed.items())]
    if scores and untimed.total() == len(scores):
        found.append(f"nothing was timed, so none of the {len(scores)} predictions has an answer")
    return found


def _attempts(store: Store, prediction_ids: list[str]) -> dict[str, list[Prediction]]:
    """Instance -> its predictions, in the order of the files."""
    rows = {row.prediction_id: row for row in store.rows(Prediction, prediction_id=prediction_ids)}
    found: dict[str, list[Prediction]] = {}
    for key in prediction_ids:
        found.setdefault(rows[key].instance_id, []).append(rows[key])
    return found


def _arms(
    run: Run, instances: list[Instance], attempts: dict[str, list[Prediction]], settings: _Settings
) -> tuple[dict[str, list[Arm]], dict[str, dict[str, str]]]:
    """(instance -> base, human and patch arms, instance -> patch id -> why the patch could not be applied).

    The human arm is base plus the instance's patch, because that is what the dataset holds; the head commit only where
    there is no patch.
    """
    repositories = {row.instance_id: RepositoryConfig(name=row.repo, url=row.repo_url) for row in instances}
    ready = cloned(run, instances, repositories, anonymous=not settings.sandbox.trust)
    configs = {row.instance_id: environment_of(row) for row in ready}
    environments = instance_environments(run, ready, repositories, configs, settings.sandbox)
    wanted = []
    for row in ready:
        if row.instance_id not in environments:
            continue
        patches: dict[str, str | None] = {"base": None, "human": row.patch or None}
        for prediction in attempts[row.instance_id]:
            if prediction.model_patch.strip():
                patches[f"patch:{patch_id(prediction.model_patch)}"] = prediction.model_patch
        if settings.suite.check_s and row.pass_to_pass and row.test_patch:
            patches[TESTS] = row.patch + row.test_patch
        key = row.instance_id
        wanted += [
            ArmWanted(
                key,
                name,
                repositories[key],
                configs[key],
                environments[key],
                row.head_commit if name == "human" and not patch else row.base_commit,
                patch,
            )
            for name, patch in patches.items()
        ]
    arms, problems = check_out_arms(run, settings.sandbox, wanted)
    failed: dict[str, dict[str, str]] = {}
    for (instance_id, name), reason in problems.items():
        if name.startswith("patch:"):
            failed.setdefault(instance_id, {})[name.removeprefix("patch:")] = reason
        elif name == TESTS:  # then the human's arm has the tests
            run.note("suites", instance_id, "failed", f"the human's changes of tests: {reason}")
        else:
            run.note("environments", instance_id, "failed", f"{name}: {reason}")
    whole = {key: list(found.values()) for key, found in arms.items() if {"base", "human"} <= found.keys()}
    return whole, failed


def _time(run: Run, instances: list[Instance], arms: dict[str, list[Arm]], settings: _Settings) -> dict[str, list[str]]:
    """Instance -> its sessions: one per perf test, each with all arms.

    An instance of which one test could not be timed has none: speedups over fewer tests would be other speedups.
    """
    items: dict[str, dict[str, Any]] = {}
    owner: dict[str, str] = {}
    for row in instances:
        if row.instance_id not in arms:
            continue
        for test in perf_tests_of(row):
            key = f"{row.instance_id} {test.test_id}"
            owner[key] = row.instance_id
            items[key] = {
                "repo": row.repo, "instance_id": row.instance_id, "arms": arms[row.instance_id],
                "test_id": test.test_id, "script": test.script, "dialect": test.dialect,
                "timing": settings.timing, "scoring": settings.scoring, "sandbox": settings.sandbox,
                "results_compared": test.results_compared,
            }  # fmt: skip
    sessions: dict[str, list[str]] = {}
    for key, session in time_all(run, items, owner, settings.scoring).items():
        sessions.setdefault(owner[key], []).append(session.session_id)
        reason = f"base: {session.base_failure}" if session.base_failure else ""
        run.note("timing", key, "failed" if session.base_failure else "kept", reason)
    tests = Counter(owner.values())
    return {key: found for key, found in sessions.items() if len(found) == tests[key]}
