"""Statistics of timing: ratios of interleaved rounds with their interval, and means of speedups across perf tests.

All of it is numpy over arrays of logarithms of ratios: a speedup and its inverse then weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy  # its parts load when they are used
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mean = Literal["geometric", "harmonic", "arithmetic"]

HUGE = 300.0
"""Log of a ratio that stands for no bound at all: two rounds at a level of 0.9999 reach further than floats do."""
DRAWS = 8000
"""Bootstrap samples behind the interval of a ratio of means."""
PROCESS_SD = 0.01
PROCESS_DF = 4
"""Before any data: processes of the same code differ by about 1 % (layout, hash seed), believed like 4 observations.

Two or three sets of processes say little about how much sets differ. Without this an interval from two sets that happen
to agree would be too narrow; with it the data take over as sets are added.
"""


@dataclass(frozen=True)
class Interval:
    """A speedup with its interval, and what it rests on."""

    ratio: float
    low: float
    high: float
    n_rounds: int
    n_sets: int


def median_interval(values: Floats, confidence: float) -> tuple[float, float, float]:
    """Median of independent values, and an interval for it that assumes nothing about their distribution.

    Ends are order statistics, chosen by the sign test's binomial probabilities and interpolated between two of them
    (Hettmansperger and Sheather, "Confidence intervals based on interpolated order statistics", 1986). So a quarter of
    wild values does not widen it as a standard error would. Where even the whole range, which holds the median with
    probability 1 - 2^(1 - n), falls short of `confidence`, both sides are stretched by the ratio of Student's t
    quantiles; for two values that is the usual t interval.
    """
    ordered = np.sort(values)
    count = len(ordered)
    centre = float(np.median(ordered))
    widest = 1 - 2.0 ** (1 - count)
    if confidence > widest:
        stretch = float(
            scipy.special.stdtrit(count - 1, (1 + confidence) / 2) / scipy.special.stdtrit(count - 1, (1 + widest) / 2)
        )
        return centre, centre - stretch * (centre - ordered[0]), centre + stretch * (ordered[-1] - centre)
    depth = np.arange(1, count // 2 + 1)
    held = 1 - 2 * scipy.special.bdtr(
        depth - 1, count, 0.5
    )  # probability that [ordered[depth - 1], ordered[-depth]] holds it
    d = int(depth[held >= confidence][-1])
    inner = float(held[d]) if d < len(held) else 0.0
    share = (held[d - 1] - confidence) / (held[d - 1] - inner)
    weight = (count - d) * share / (d + (count - 2 * d) * share)
    inside = min(d, count - 1 - d)  # for two values the next order statistic is the other one
    low = (1 - weight) * ordered[d - 1] + weight * ordered[inside]
    high = (1 - weight) * ordered[count - d] + weight * ordered[count - 1 - inside]
    return centre, min(float(low), centre), max(float(high), centre)


def signed_rank_interval(values: Floats, confidence: float) -> tuple[float, float, float]:
    """Median of all means of two values (each with itself, too), and the interval that belongs to it.

    For values that scatter alike to both sides: a tenth (few values) to a fifth narrower than the median's where they
    are normal, and safe from a quarter of wild ones. Ends are order statistics of those means, by the exact
    distribution of the signed-rank statistic (Hodges and Lehmann, "Estimates of location based on rank tests", 1963;
    Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 3rd edition, section 3.3). With too few values
    for `confidence`, the median's.
    """
    depth = _signed_rank_depth(len(values), round(confidence, 9))
    if depth < 0:
        return median_interval(values, confidence)
    rows, columns = np.triu_indices(len(values))
    means = np.sort((values[rows] + values[columns]) / 2)
    return float(np.median(means)), float(means[depth]), float(means[-1 - depth])


@lru_cache(maxsize=4096)
def _signed_rank_depth(count: int, confidence: float) -> int:
    """How many of the sorted means are left out at either end; -1 if even none is too many."""
    probabilities = np.zeros(count * (count + 1) // 2 + 1)
    probabilities[0] = 1.0
    for rank in range(1, count + 1):
        joined = probabilities.copy()
        joined[rank:] += probabilities[:-rank]
        probabilities = joined / 2
    return int(np.searchsorted(np.cumsum(probabilities), (1 - confidence) / 2, side="right")) - 1


def process_error(sets: Sequence[Floats], confidence: float, process_sd: float = PROCESS_SD) -> float:
    """Half width, at this confidence, of what the sets of processes add to the interval of the rounds.

    With S sets it is Student's t with f = PROCESS_DF + S - 1 degrees of freedom times the root of

        (PROCESS_DF process_sd^2 + max(0, SS - (S - 1) v)) / f * sum of squared shares of rounds per set,

    SS being the sum of squares of the sets' medians around their mean, and v the variance of such a median that its
    rounds explain (pi / 2 times that of a mean). 0 if all sets have a single round: those already differ by process.
    """
    if all(len(part) == 1 for part in sets):
        return 0.0
    medians = np.array([np.median(part) for part in sets])
    inside = np.mean([math.pi / 2 * float(np.var(part, ddof=1)) / len(part) for part in sets if len(part) > 1])
    excess = float(np.sum((medians - medians.mean()) ** 2)) - (len(sets) - 1) * float(inside)
    freedom = PROCESS_DF + len(sets) - 1
    shares = np.array([len(part) for part in sets]) / sum(map(len, sets))
    variance = (PROCESS_DF * process_sd**2 + max(0.0, excess)) / freedom * float(np.sum(shares**2))
    return math.sqrt(variance) * float(scipy.special.stdtrit(freedom, (1 + confidence) / 2))


Estimator = Callable[[Floats, float], tuple[float, float, float]]
"""(values, confidence) -> location of the values with its interval."""


def interval(
    sets: Sequence[Floats],
    confidence: float,
    process_sd: float = PROCESS_SD,
    estimator: Estimator = median_interval,
) -> Interval | None:
    """Speedup and its interval, from log-ratios: one array of rounds per set of processes. None below two rounds.

    The estimate is the median over all rounds. (On a busy machine a fifth of the rounds are wild, because the speed of
    a core changes between two calls: there the median beats means, trimmed means and Hodges-Lehmann; see
    docs/measures/timing.md.) Its interval adds what rounds and what processes leave open, each side by itself, as roots
    of sums of squares (Zou and Donner, "Construction of confidence limits about effect measures", 2008).
    """
    sets = [np.asarray(part, dtype=np.float64) for part in sets if len(part)]
    count = sum(map(len, sets))
    if count < 2:
        return None
    centre, low, high = estimator(np.concatenate(sets), confidence)
    between = process_error(sets, confidence, process_sd)
    return Interval(
        ratio=math.exp(centre),
        low=math.exp(centre - math.hypot(centre - low, between)),
        high=math.exp(min(HUGE, centre + math.hypot(high - centre, between))),
        n_rounds=count,
        n_sets=len(sets),
    )


def slower(one: Interval, other: Interval) -> Interval:
    """The smaller of two estimates of a speedup, each end by itself: it reaches a threshold only if both do.

    A test of "both are above" at the level of each (Berger, "Multiparameter hypothesis testing and acceptance
    sampling", 1982: intersection-union tests need no correction).
    """
    return Interval(
        min(one.ratio, other.ratio), min(one.low, other.low), min(one.high, other.high), one.n_rounds, one.n_sets
    )


def ratio_of_means(against: Floats, arm: Floats, confidence: float, seed: int = 0) -> Interval | None:
    """GSO's estimate, mean(against) / mean(arm), with a bootstrap interval over runs drawn apart for both arms."""
    if len(against) < 2 or len(arm) < 2:
        return None
    rng = np.random.default_rng(seed)
    ratios = _resampled_means(against, rng) / _resampled_means(arm, rng)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    count = min(len(against), len(arm))
    return Interval(float(np.mean(against) / np.mean(arm)), float(low), float(high), count, count)


def _resampled_means(values: Floats, rng: np.random.Generator) -> Floats:
    means: Floats = values[rng.integers(len(values), size=(DRAWS, len(values)))].mean(axis=1)
    return means


def mean_speedup(speedups: Floats, kind: Mean) -> Floats:
    """Mean over the last axis: geometric, harmonic (total time if every test took the same before) or arithmetic."""
    values = np.asarray(speedups, dtype=np.float64)
    if kind == "geometric":
        return np.asarray(np.exp(np.log(values).mean(axis=-1)))
    if kind == "harmonic":
        return np.asarray(values.shape[-1] / (1 / values).sum(axis=-1))
    return np.asarray(values.mean(axis=-1))


def slowdown_share(speedups: Floats) -> float:
    """Share of perf tests that became slower (speedup below 1)."""
    values = np.asarray(speedups, dtype=np.float64)
    return float((values < 1).mean()) if len(values) else 0.0
