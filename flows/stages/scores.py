"""From sessions to answers: a score of every prediction, and Opt@K of every model."""

from __future__ import annotations

from configs.models import SuiteConfig
from flows.engine.run import Run
from flows.stages.of_evaluation import Evaluation, evaluation_stage
from storage.ids import patch_of
from storage.scripts import perf_tests_of
from storage.tables import Instance, Score
from tasks.scoring.stage import rank_models, score_predictions


@evaluation_stage("scores")
def score_patches(run: Run, evaluation: Evaluation) -> None:
    """Score each prediction by the sessions of its instance, by its checkout and by the repository's tests."""
    attempts = evaluation.attempts(run)
    items = {
        row.instance_id: {
            "instance_id": row.instance_id,
            "prediction_ids": [prediction.prediction_id for prediction in attempts[row.instance_id]],
            "session_ids": _sessions(run, row),
            "failed_patches": _dropped(run, "checkouts", row.instance_id),
            "scoring": evaluation.scoring,
            "run_id": run.run_id,
            "incorrect_patches": _dropped(run, "suites", row.instance_id),
            "weakly_checked": not _is_well_checked(run, row, evaluation.suite),
        }
        for row in evaluation.tried(run)
    }
    for result in run.map("scores", score_predictions, items).values():
        for prediction_id in result.statuses:
            solved = prediction_id in result.solved
            run.note("scores", prediction_id, "kept" if solved else "dropped", result.outcome(prediction_id))


@evaluation_stage("opt_at_k")
def rank(run: Run, evaluation: Evaluation) -> None:
    """Append Opt@1 to Opt@K of every model to `opt_at_k`."""
    ranked = run.call(
        "opt_at_k",
        rank_models,
        run_id=run.run_id,
        k=evaluation.k,
        instance_ids=[row.instance_id for row in evaluation.tried(run)],
        scores=sorted(
            (row.prediction_id, row.status, row.opt_human, str(row.weakly_checked))
            for row in scores_of(run, evaluation)
        ),
    )
    run.memory["opt_at_k"] = ranked.rows if ranked else []


def scores_of(run: Run, evaluation: Evaluation) -> list[Score]:
    """Scores of this evaluation's predictions."""
    rows = {row.prediction_id: row for row in run.store.rows(Score, run_id=run.run_id)}
    wanted = (prediction for group in evaluation.attempts(run).values() for prediction in group)
    return [rows[row.prediction_id] for row in wanted if row.prediction_id in rows]


def _sessions(run: Run, row: Instance) -> list[str]:
    """Sessions of an instance, one per perf test.

    An instance of which one test could not be timed has none: speedups over fewer tests would be other speedups.
    """
    environment = run.funnel.row("environments", row.instance_id)
    if environment is not None and environment.outcome == "failed":
        return []
    timed = [run.funnel.row("timing", f"{row.instance_id} {test.test_id}") for test in perf_tests_of(row)]
    found = [key for session in timed if session is not None for key in session.made]
    return found if len(found) == len(timed) else []


def _dropped(run: Run, stage: str, instance_id: str) -> dict[str, str]:
    """Patch id -> why a stage dropped the instance's patch."""
    head = f"{instance_id} "
    dropped = {key.removeprefix(head): row for key, row in run.funnel.stage(stage).items() if key.startswith(head)}
    return {patch_of(arm): row.reason for arm, row in dropped.items() if row.outcome == "dropped" and patch_of(arm)}


def _is_well_checked(run: Run, row: Instance, suite: SuiteConfig) -> bool:
    """Whether a test that passes here executes the change; where nobody can see that, whether any test does."""
    reference = run.funnel.row("suites", row.instance_id)
    if not suite.check_s or reference is None or reference.outcome != "kept":
        return False
    return bool(reference.made) if row.tests_of_change else not row.weakly_checked
