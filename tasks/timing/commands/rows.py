"""Rows of a command session: the metrics of every round, and how arms compare by each."""

from __future__ import annotations

from collections.abc import Sequence

from storage.tables import Metric, MetricComparison, TimedSession
from tasks.timing.commands.compare import compare_metric, directed, of_arm, typical
from tasks.timing.models import Question, SessionState
from tasks.timing.verdict import verdict_at


def metric_rows(
    state: SessionState, questions: Sequence[Question], session: TimedSession, confidence: float
) -> list[Metric | MetricComparison]:
    """Rows of `metrics` and `metric_comparisons`; none where the workload was no command.

    Of each question, every metric that both arms have and that says which way is better; with the interval of the last
    look, so the primary metric's may differ from the one that settled the question earlier.
    """
    shared = {
        "session_id": session.session_id,
        "test_id": session.test_id,
        "repo": session.repo,
        "instance_id": session.instance_id,
    }
    rows: list[Metric | MetricComparison] = [
        Metric(
            **shared,
            arm=value.arm,
            process=value.process,
            round=value.round,
            metric=value.metric,
            value=value.value,
            better=value.better,
        )
        for value in state.metrics
    ]
    for question in questions:
        for metric in directed(state):
            ours = of_arm(state, metric, question.arm)
            if not ours or not of_arm(state, metric, question.against):
                continue
            found = compare_metric(state, metric, question.arm, question.against, confidence)
            rows.append(
                MetricComparison(
                    **shared,
                    arm=question.arm,
                    against=question.against,
                    metric=metric,
                    better=next(iter(ours.values())).better or "lower",
                    primary=metric == state.primary,
                    value=typical(state, metric, question.arm),
                    against_value=typical(state, metric, question.against),
                    ratio=found.ratio if found else None,
                    ci_low=found.low if found else None,
                    ci_high=found.high if found else None,
                    n_rounds=found.n_rounds if found else 0,
                    question=question.threshold,
                    verdict=verdict_at(found, question.threshold),
                )
            )
    return rows
