"""Every table: what stages pass to each other.

A row is a frozen pydantic model. Its Arrow schema is derived from it (`storage.schema`), so a model is the only place
where a column is declared. `key_columns` identify a row: readers take the newest row per key. The models stand in
`storage/rows/`, by what they speak of; everybody imports them from here.
"""

from __future__ import annotations

from typing import Any

from storage.rows.attempts import NO_ANSWER, Attempt, AttemptStatus
from storage.rows.base import Row
from storage.rows.benchmark import Instance, OptAtK, Prediction, Score, ScoreStatus, Statement, TestDurations
from storage.rows.changes import Api, Commit, Contract, PullRequest
from storage.rows.environments import EnvironmentTry
from storage.rows.perftests import LlmCall, PerfTest
from storage.rows.runs import Funnel
from storage.rows.suites import Suite, SuiteCheck
from storage.rows.sweeps import SweepComparison
from storage.rows.timing import Calibration, Comparison, Machine, Measurement, Metric, MetricComparison, TimedSession
from storage.rows.versions import DatasetVersion, Withdrawal

TABLES: dict[str, type[Row]] = {
    row.table: row
    for row in (
        Commit, PullRequest, Api, Contract, EnvironmentTry, PerfTest, Measurement, Comparison, Metric,
        MetricComparison, TimedSession, Machine, Calibration, Suite, Instance, Withdrawal, DatasetVersion, Statement,
        Attempt, Prediction, SuiteCheck, Score, OptAtK, Funnel, LlmCall, SweepComparison,
    )
}  # fmt: skip


def partition_of(row: Row) -> str:
    """Partition value of a row: `owner__name`, or `_all` for tables that span repositories."""
    repo: Any = getattr(row, "repo", "")
    return repo.replace("/", "__") if repo else "_all"


__all__ = [
    "NO_ANSWER", "TABLES", "Api", "Attempt", "AttemptStatus", "Calibration", "Commit", "Comparison",
    "Contract", "DatasetVersion", "EnvironmentTry", "Funnel", "Instance", "LlmCall", "Machine", "Measurement",
    "Metric", "MetricComparison", "OptAtK", "PerfTest", "Prediction", "PullRequest", "Row", "Score", "ScoreStatus",
    "Statement", "Suite", "SuiteCheck", "SweepComparison", "TestDurations", "TimedSession", "Withdrawal",
    "partition_of",
]  # fmt: skip
