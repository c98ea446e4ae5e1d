"""ISO-Bench's hard rule: beside the human's commit, is the patch better, similar or worse?

Source: Lossfunk/ISO-Bench, arXiv 2602.19594, and the classification behind its website: by the primary metric (time to
first token, throughput, else latency), better than the human by more than 5 % `beats`, within 5 % is `similar`, else
`worse`; a pass is `beats` or `similar`. The rule knows neither base nor whether results are right.
"""

from __future__ import annotations

import polars as pl

from tasks.scoring.rules.frames import share_by_model

MARGIN_PERCENT = 5.0


def hard(turned: bool = False) -> pl.Expr:
    """`beats`, `similar` or `worse` for each row of a frame as in `frames.RATIOS`; `no data` without a ratio.

    The percentage is of the human's value. `turned`: a column `better` says `higher` of throughputs and `lower` of
    times; without it all are times.
    """
    percent = _percent(turned)
    return (
        pl.when(percent > MARGIN_PERCENT)
        .then(pl.lit("beats"))
        .when(percent >= -MARGIN_PERCENT)
        .then(pl.lit("similar"))
        .when(percent.is_null())
        .then(pl.lit("no data"))
        .otherwise(pl.lit("worse"))
        .alias("hard")
    )


def score(frame: pl.DataFrame) -> pl.DataFrame:
    """Per model the share of instances with a pass, `hard`, and of those that beat the human or are worse.

    A column `better` is read as `hard` does. No data is no pass, and neither better nor worse.
    """
    percent = _percent("better" in frame.columns)
    judged = frame.select(
        "model",
        "instance_id",
        hard=(percent >= -MARGIN_PERCENT).fill_null(False),
        beats=(percent > MARGIN_PERCENT).fill_null(False),
        worse=(percent < -MARGIN_PERCENT).fill_null(False),
    )
    return share_by_model(judged, ("hard", "beats", "worse"), by="hard")


def _percent(turned: bool) -> pl.Expr:
    """How much better than the human, in percent of the human's value. `turned`: a column says what is better."""
    ratio = pl.col("speedup_human")
    time = 1 - 1 / ratio
    return 100 * (pl.when(pl.col("better") == "higher").then(ratio - 1).otherwise(time) if turned else time)
