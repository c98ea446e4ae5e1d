"""From predictions to timed arms: load them, check them out, run the repository's tests, time them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.models import RepositoryConfig
from flows.engine.retrying import INCONCLUSIVE
from flows.engine.run import Run
from flows.stages.checkouts import ArmWanted, check_out_arms, cloned, instance_environments
from flows.stages.of_evaluation import Evaluation, evaluation_stage
from flows.stages.suites import STAGE as SUITES
from flows.stages.suites import TESTS, check_patches
from flows.stages.timing import time_all
from flows.trust import environment_of
from storage.ids import patch_arm, patch_id, patch_of
from storage.scripts import perf_tests_of
from storage.tables import Instance, Prediction
from tasks.agents.stage import load_predictions
from tasks.sandbox.models import Arm
from tasks.timing.gpu import gpus_for
from tasks.timing.models import Session


def still_open(session: Session) -> str:
    """`inconclusive: <patches>`, those of which a question is open: `--retry inconclusive` goes by it. Else empty."""
    arms = [
        outcome.arm
        for outcome in session.outcomes
        if patch_of(outcome.arm)
        and outcome.status == "ok"
        and any(answer.question is not None and answer.verdict == INCONCLUSIVE for answer in outcome.answers)
    ]
    return f"{INCONCLUSIVE}: {', '.join(arms)}" if arms else ""


@evaluation_stage("predictions")
def read_predictions(run: Run, evaluation: Evaluation) -> None:
    """Write the dataset's instances and the files' predictions to the store."""
    known = {row.instance_id: row for row in run.store.rows(Instance)}
    run.store.append(row for row in evaluation.instances if known.get(row.instance_id) != row)
    ids = [row.instance_id for row in evaluation.instances]
    loaded = run.call("predictions", load_predictions, files=evaluation.files, instance_ids=ids)
    if loaded is not None:
        run.memory["problems"] = loaded.problems
        said = f"{len(loaded.prediction_ids)} predictions of {len(loaded.models)} models"
        run.note("predictions", "predictions", "kept", said, made=loaded.prediction_ids)


@evaluation_stage("environments")
def build_patched_arms(run: Run, evaluation: Evaluation) -> None:
    """Build each instance's environment, and check out base, human and every distinct patch in it."""
    instance_arms(run, evaluation)


@evaluation_stage("suites")
def check_suites(run: Run, evaluation: Evaluation) -> None:
    """Run the repository's own tests on every patch. A patch that fails them is not timed."""
    arms = instance_arms(run, evaluation)
    run.memory["checked"] = check_patches(run, evaluation.tried(run), arms, evaluation.suite, evaluation.sandbox)


@evaluation_stage("timing")
def time_patches(run: Run, evaluation: Evaluation) -> None:
    """Time base, human and the patches of each instance, one session per perf test.

    Raises GpuError if a GPU is wanted and not there.
    """
    gpus_for(evaluation.timing, evaluation.sandbox)
    arms = run.memory.get("checked")
    if arms is None:  # alone: which patches fail is in the cache
        everything = instance_arms(run, evaluation)
        arms = check_patches(run, evaluation.tried(run), everything, evaluation.suite, evaluation.sandbox)
    items: dict[str, dict[str, Any]] = {}
    owner: dict[str, str] = {}
    for row in evaluation.tried(run):
        if row.instance_id not in arms:
            continue
        for test in perf_tests_of(row):
            key = f"{row.instance_id} {test.test_id}"
            owner[key] = row.instance_id
            items[key] = {
                "repo": row.repo, "instance_id": row.instance_id, "arms": arms[row.instance_id],
                "test_id": test.test_id, "script": test.script, "dialect": test.dialect,
                "timing": evaluation.timing, "scoring": evaluation.scoring, "sandbox": evaluation.sandbox,
                "results_compared": test.results_compared,
            }  # fmt: skip
    for key, session in time_all(run, items, owner, evaluation.scoring).items():
        fault = session.base_failure
        reason = f"base: {fault}" if fault else still_open(session)
        run.note("timing", key, "failed" if fault else "kept", reason, made=[session.session_id])


def instance_arms(run: Run, evaluation: Evaluation) -> dict[str, list[Arm]]:
    """Instance -> base, human and patch arms on this machine; each is looked at once.

    The human arm is base plus the instance's patch, because that is what the dataset holds; the head commit only where
    there is no patch. A patch that cannot be applied is noted as dropped.
    """
    if "arms" in run.memory:
        return dict(run.memory["arms"])
    tried, attempts = evaluation.tried(run), evaluation.attempts(run)
    repositories = {row.instance_id: RepositoryConfig(name=row.repo, url=row.repo_url) for row in tried}
    ready = cloned(run, tried, repositories, anonymous=not evaluation.sandbox.trust)
    configs = {row.instance_id: environment_of(row) for row in ready}
    environments = instance_environments(run, ready, repositories, configs, evaluation.sandbox)
    wanted = [
        ArmWanted(
            row.instance_id, name, repositories[row.instance_id], configs[row.instance_id],
            environments[row.instance_id],
            row.head_commit if name == "human" and not patch else row.base_commit, patch,
        )
        for row in ready
        if row.instance_id in environments
        for name, patch in _patches(row, attempts[row.instance_id], bool(evaluation.suite.check_s)).items()
    ]  # fmt: skip
    arms, problems = check_out_arms(run, evaluation.sandbox, wanted)
    for (instance_id, name), reason in problems.items():
        if patch_of(name):
            run.note("checkouts", f"{instance_id} {name}", "dropped", reason)
        elif name == TESTS:  # then the human's arm has the tests
            run.note(SUITES, instance_id, "failed", f"the human's changes of tests: {reason}")
        else:
            run.note("environments", instance_id, "failed", f"{name}: {reason}")
    whole = {key: list(found.values()) for key, found in arms.items() if {"base", "human"} <= found.keys()}
    run.memory["arms"] = whole
    return dict(whole)


def _patches(row: Instance, predictions: Sequence[Prediction], with_tests: bool) -> dict[str, str | None]:
    """Name of an arm -> the patch that makes it of the base commit."""
    patches: dict[str, str | None] = {"base": None, "human": row.patch or None}
    for prediction in predictions:
        if prediction.model_patch.strip():
            patches[patch_arm(patch_id(prediction.model_patch))] = prediction.model_patch
    if with_tests and row.pass_to_pass and row.test_patch:
        patches[TESTS] = row.patch + row.test_patch
    return patches
