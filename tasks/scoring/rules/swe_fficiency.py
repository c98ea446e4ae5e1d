"""SWE-fficiency's speedup ratio (SR): a model's speedup over the expert's.

Source: swefficiency/swefficiency at fa356b7, `scripts/eval/get_report.py`, and the paper, arXiv 2511.06090. SR of a
task is (T_pre / T_post_lm) / (T_pre / T_post_gold). A patch that is missing, does not apply or fails a test counts as
no edit: its speedup is 1, so its SR is 1 / the expert's. Over tasks the harmonic mean is taken; nothing is capped.
"""

from __future__ import annotations

import polars as pl


def speedup_ratio() -> pl.Expr:
    """SR of each row of a frame as in `frames.RATIOS`. An expert without a measured speedup counts as 1."""
    own = pl.when(pl.col("correct").fill_null(False)).then(pl.col("speedup_base")).otherwise(None).fill_null(1.0)
    return (own / pl.col("human_speedup").fill_null(1.0)).alias("sr")


def score(frame: pl.DataFrame) -> pl.DataFrame:
    """Per model `sr`, the harmonic mean over instances, and `correct`, the share that passes.

    Several attempts at an instance weigh together as one.
    """
    return (
        frame.lazy()
        .group_by("model", "instance_id")
        .agg(inverse=(1 / speedup_ratio()).mean(), correct=pl.col("correct").fill_null(False).mean(), attempts=pl.len())
        .group_by("model")
        .agg(
            sr=1 / pl.col("inverse").mean(),
            correct=pl.col("correct").mean(),
            instances=pl.len().cast(pl.Int64),
            attempts=pl.col("attempts").sum().cast(pl.Int64),
        )
        .sort("sr", "model", descending=[True, False])
        .collect()
    )
