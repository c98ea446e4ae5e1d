"""Statistics of timing: ratios of interleaved rounds with their interval, and means of speedups across perf tests.

All of it is numpy over arrays of logarithms of ratios: a speedup and its inverse then weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mean = Literal["geometric", "harmonic", "arithmetic"]

DRAWS = 8000
"""Random draws behind an interval: enough for the tails of a level divided by the number of looks."""
RESAMPLES = 1000
"""Bootstrap samples behind a standard error."""
PROCESS_SD = 0.01
PROCESS_DF = 4
"""Before any data: processes of the same code differ by about 1 % (layout, hash seed), believed like 4 observations.

Two or three sets of processes say little about how much sets differ. Without this an interval from two sets that happen
to agree would be too narrow; with it the data take over as sets are added.
"""
FEW_ROUNDS = 8
"""Below this many rounds a bootstrap of the median says too little."""


@dataclass(frozen=True)
class Interval:
    """A speedup with its interval, and what it rests on."""

    ratio: float
    low: float
    high: float
    n_rounds: int
    n_sets: int


def looks(first: int, last: int, growth: float = 1.5) -> list[int]:
    """Numbers of rounds after which the data are looked at: `first`, then `growth` times as many, up to `last`."""
    found = [min(first, last)]
    while found[-1] < last:
        found.append(min(last, max(found[-1] + 1, round(found[-1] * growth))))
    return found


def level_per_look(confidence: float, n_looks: int) -> float:
    """Confidence of one look so that all `n_looks` intervals together hold with `confidence` (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, n_looks)


def draws(sets: Sequence[Floats], rng: np.random.Generator, size: int = DRAWS) -> Floats:
    """Plausible values, shape (size,), of the median log-ratio, given one array of log-ratios per set of processes.

    The estimate plus two sources of error. Rounds: Student's t with rounds - 1 degrees of freedom, scaled by the
    standard error of the median. Processes: Student's t with f = PROCESS_DF + sets - 1 degrees of freedom and variance
    (PROCESS_DF * PROCESS_SD^2 + max(0, SS - what rounds explain of it)) / f * sum of squared shares of rounds per set,
    SS being the sum of squares of set medians around their mean. Sets of a single round each need no second source:
    their rounds already differ by process.
    """
    sets = [part for part in sets if len(part)]
    pooled = np.concatenate(sets)
    single = all(len(part) == 1 for part in sets)
    if len(pooled) == 1:
        return np.full(size, np.nan)
    spread = _median_error(pooled, rng)
    values: Floats = float(np.median(pooled)) + spread * rng.standard_t(len(pooled) - 1, size)
    return values if single else values + _process_effects(sets, rng, size)


def _median_error(pooled: Floats, rng: np.random.Generator) -> float:
    """Standard error of the median: by bootstrap, for few rounds by the normal formula.

    Rounds are resampled over all sets, because sets of two or three rounds would lose a third of their variance if they
    were resampled by themselves. The bootstrap's own quantiles are not used: they are too narrow for 8 to 20 rounds.
    """
    if len(pooled) < FEW_ROUNDS:
        return math.sqrt(math.pi / 2) * float(np.std(pooled, ddof=1)) / math.sqrt(len(pooled))
    sample = pooled[rng.integers(len(pooled), size=(RESAMPLES, len(pooled)))]
    return float(np.median(sample, axis=1).std())


def _process_effects(sets: Sequence[Floats], rng: np.random.Generator, size: int) -> Floats:
    medians = np.array([np.median(part) for part in sets])
    # variance of a set's median that its rounds alone explain, at least
    inside = [float(np.var(part, ddof=1)) / len(part) for part in sets if len(part) > 1]
    excess = float(np.sum((medians - medians.mean()) ** 2)) - (len(sets) - 1) * float(np.mean(inside))
    freedom = PROCESS_DF + len(sets) - 1
    shares = np.array([len(part) for part in sets]) / sum(map(len, sets))
    variance = (PROCESS_DF * PROCESS_SD**2 + max(0.0, excess)) / freedom * float(np.sum(shares**2))
    return math.sqrt(variance) * rng.standard_t(freedom, size)


def interval(sets: Sequence[Floats], confidence: float, seed: int = 0) -> Interval | None:
    """Speedup (exp of the median log-ratio over all rounds) and its equal-tailed interval; None below two rounds."""
    sets = [np.asarray(part, dtype=np.float64) for part in sets if len(part)]
    count = sum(map(len, sets))
    if count < 2:
        return None
    centre = float(np.median(np.concatenate(sets)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws(sets, np.random.default_rng(seed)), [tail, 1 - tail])
    return Interval(
        ratio=math.exp(centre),
        low=math.exp(min(float(low), centre)),
        high=math.exp(max(float(high), centre)),
        n_rounds=count,
        n_sets=len(sets),
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
