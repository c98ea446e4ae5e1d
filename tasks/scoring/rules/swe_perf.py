"""SWE-Perf's performance gain: the largest share of base's time that a patch surely saves.

Source: SWE-Perf/SWE-Perf at 9e8fed2, `evaluation/utils.py` (`filter_outliers`, `find_max_significant_improvement`) and
`evaluation/check_evaluation.py`; arXiv 2507.12415. Runs outside the quartiles by more than one interquartile range are
dropped. The gain of a test is the largest x, in steps of 0.001, for which base's times less the share x are still
greater than the patch's by a one-sided Mann-Whitney test at p < 0.1. A task has the mean over its tests, a model the
sum over its tasks divided by the number of all tasks; a task with a failing or missing test adds nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import polars as pl
import scipy  # its parts load when they are used

P_THRESHOLD = 0.1
STEP = 0.001


def without_outliers(times: Sequence[float]) -> list[float]:
    """Times within one interquartile range of the quartiles (linear interpolation)."""
    values = np.asarray(times, dtype=np.float64)
    first, third = np.percentile(values, [25, 75])
    margin = third - first
    return [float(value) for value in values[(values >= first - margin) & (values <= third + margin)]]


def gain(base: Sequence[float], patch: Sequence[float]) -> float:
    """Share of base's time that the patch saves on one test, from 0 to 1. Times in seconds, any number of runs.

    Raises ValueError for no runs.
    """
    if not len(base) or not len(patch):
        raise ValueError("a gain needs runs of base and of the patch")
    before, after = np.array(without_outliers(base)), np.array(without_outliers(patch))

    def is_significant(share: float) -> bool:
        p_value = scipy.stats.mannwhitneyu(before * (1 - share), after, alternative="greater").pvalue
        return bool(p_value < P_THRESHOLD)

    # The original walks from 0 to the first share that isn't significant. Base's times only fall on the way, so halving
    # the walk leads to the same.
    first_failing = bisect_left(_SHARES, True, key=lambda share: not is_significant(share))
    return _SHARES[first_failing - 1] if first_failing else 0.0


def _walk() -> list[float]:
    """0, 0.001, ... up to 1, with the rounding errors of the original's sums."""
    shares = [0.0]
    while (share := shares[-1] + STEP) <= 1:
        shares.append(share)
    return shares


_SHARES = _walk()


def score(frame: pl.DataFrame) -> pl.DataFrame:
    """Per model `gain`, and `human_gain` of the human commits where the model's patch passes: means over all instances.

    `frame` as in `frames.TIMES`. Several attempts at an instance weigh together as one.
    """
    rows = [
        (model, instance, *((_mean_gain(base, patch), _mean_gain(base, human)) if correct else (0.0, 0.0)))
        for model, instance, correct, base, patch, human in frame.select(
            "model", "instance_id", "correct", "base", "patch", "human"
        ).iter_rows()
    ]
    return (
        pl.DataFrame(rows, schema=["model", "instance_id", "gain", "human_gain"], orient="row")
        .group_by("model", "instance_id")
        .agg(pl.col("gain", "human_gain").mean(), attempts=pl.len())
        .group_by("model")
        .agg(pl.col("gain", "human_gain").mean(), instances=pl.len().cast(pl.Int64), attempts=pl.col("attempts").sum())
        .sort("gain", "model", descending=[True, False])
    )


def _mean_gain(base: Sequence[Sequence[float]] | None, arm: Sequence[Sequence[float]] | None) -> float:
    """Mean over tests; 0 where a test has no times."""
    if not base or not arm or len(base) != len(arm) or not all(map(len, [*base, *arm])):
        return 0.0
    return float(np.mean([gain(before, after) for before, after in zip(base, arm, strict=True)]))
