"""Perf tests that were timed and belong to no instance, each with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from storage.scripts import perf_tests_of
from storage.store import Store
from storage.tables import Comparison, Funnel, Instance


@dataclass(frozen=True)
class TestApart:
    """The newest comparison of human with base."""

    row: Comparison
    api: str
    """What the perf test measures."""
    why: str


def tests_apart(
    comparisons: Sequence[Comparison], instances: Sequence[Instance], tests: pl.DataFrame, store: Store
) -> list[TestApart]:
    """Largest ratio first. `tests` has `test_id`, `api` and `sha`.

    A test may be fast enough and still stand here: its commit failed on another one, or its instance holds enough.
    """
    owned = {test.test_id for row in instances for test in perf_tests_of(row)}
    heads = {row.head_commit for row in instances}
    known = {test_id: (api, sha) for test_id, api, sha in tests.select("test_id", "api", "sha").iter_rows()}
    funnel = store.frame(Funnel).filter(pl.col("stage") == "instances", pl.col("outcome") != "kept")
    reasons = dict(funnel.select("key", "reason").iter_rows())
    newest = {
        row.test_id: row
        for row in comparisons
        if (row.arm, row.against) == ("human", "base") and row.test_id not in owned
    }
    found = []
    for row in sorted(newest.values(), key=lambda row: -(row.ratio or 0)):
        api, sha = known.get(row.test_id, ("", ""))
        found.append(TestApart(row, api, _why(row, sha in heads, reasons.get(sha, ""))))
    return found


def _why(row: Comparison, has_instance: bool, reason: str) -> str:
    if row.status != "ok" or row.verdict != "yes":
        return row.reason
    if has_instance:
        return "fast enough; the instance of its commit holds other perf tests"
    return f"fast enough; its commit is no instance{f': {reason}' if reason else ''}"
