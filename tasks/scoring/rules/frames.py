"""What rules read: one row per attempt, from a store's run or from anybody's results."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

RATIOS = ("model", "instance_id", "correct", "speedup_base", "speedup_human", "human_speedup")
"""Columns of attempts as ratios: the patch over base, the patch over the human, the human over base; above 1 is faster.
`correct` is false also where a patch is missing or did not apply; ratios may be null there."""

TIMES = ("model", "instance_id", "correct", "base", "patch", "human")
"""Columns of attempts as times: per perf test the seconds of every run (a list of lists of floats), all three arms with
the tests in one order."""


def share_by_model(frame: pl.DataFrame, answers: Sequence[str], by: str) -> pl.DataFrame:
    """Per model the share of instances for which each of the boolean columns holds, largest of column `by` first.

    Several attempts at an instance weigh together as one.
    """
    return (
        frame.lazy()
        .group_by("model", "instance_id")
        .agg(pl.col(answers).mean(), attempts=pl.len())
        .group_by("model")
        .agg(
            pl.col(answers).mean(),
            instances=pl.len().cast(pl.Int64),
            attempts=pl.col("attempts").sum().cast(pl.Int64),
        )
        .sort(by, "model", descending=[True, False])
        .collect()
    )
