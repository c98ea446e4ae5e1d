"""One speedup from several perf tests, with its interval.

Means as GSO's harness takes them (`gso/harness/grading/metrics.py`; Shetty et al., "GSO: Challenging Software
Optimization Tasks for Evaluating SWE-Agents", 2025): the geometric mean against base, the harmonic mean against the
human, which a single lucky test cannot lift.

The interval: the log of test i's speedup is log r_i plus a normal error, whose standard deviation is
(log r_i - log low_i) / z downwards and (log high_i - log r_i) / z upwards, where [low_i, high_i] is the session's
interval and z the quantile of its confidence: a session that was settled early may know one side far better than the
other. Tests are independent. The mean is drawn DRAWS times and its quantiles are the interval. With one test the
interval is that of the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

Verdict = Literal["yes", "no", "inconclusive"]
Mean = Literal["geometric", "harmonic"]
DRAWS = 20_000


@dataclass(frozen=True)
class Speedup:
    """A ratio with its interval."""

    ratio: float
    low: float
    high: float

    def verdict(self, threshold: float) -> Verdict:
        """`yes` if the whole interval reaches the threshold, `no` if all of it is below, else `inconclusive`."""
        if self.low >= threshold:
            return "yes"
        return "no" if self.high < threshold else "inconclusive"

    def above(self, threshold: float) -> Verdict:
        """`yes` if the whole interval is above the threshold, `no` if none of it is, else `inconclusive`."""
        if self.low > threshold:
            return "yes"
        return "no" if self.high <= threshold else "inconclusive"

    def __str__(self) -> str:
        return f"{self.ratio:.2f}x [{self.low:.2f}, {self.high:.2f}]"


def both(one: Verdict, other: Verdict) -> Verdict:
    """The answer to "one and the other?"."""
    if "no" in (one, other):
        return "no"
    return "yes" if one == other == "yes" else "inconclusive"


def combine(tests: Sequence[Speedup], mean: Mean = "geometric", confidence: float = 0.95) -> Speedup:
    """Mean speedup over perf tests. Raises ValueError without any."""
    if not tests:
        raise ValueError("no perf tests to combine")
    if len(tests) == 1:
        return tests[0]
    centre, low, high = (np.log([getattr(test, name) for test in tests]) for name in ("ratio", "low", "high"))
    errors = np.random.default_rng(0).standard_normal((DRAWS, len(tests))) / NormalDist().inv_cdf((1 + confidence) / 2)
    draws = _mean(centre + errors * np.where(errors < 0, centre - low, high - centre), mean)
    tail = (1 - confidence) / 2
    bounds = np.exp(np.quantile(draws, [tail, 1 - tail]))
    return Speedup(float(np.exp(_mean(centre, mean))), float(bounds[0]), float(bounds[1]))


def _mean(logs: np.ndarray, mean: Mean) -> np.ndarray:
    """Log of the mean speedup over the last axis."""
    if mean == "geometric":
        return np.asarray(logs.mean(axis=-1))
    return np.asarray(-np.log(np.exp(-logs).mean(axis=-1)))
