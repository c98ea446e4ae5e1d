"""Which estimate of a ratio is best, on recorded rounds of identical code?

    python -m tests.benchmarks.timing_run raw.jsonl --keep raw --patches 2 --processes 12 --budget 25 \\
        --min-rounds 120 --protocols interleaved --minutes 3
    python -m tests.benchmarks.timing_estimators raw

Rounds of the store's sessions are drawn with replacement, 8, 18 and 40 at a time; the truth is 1. Printed are the root
mean square of the estimates' logs, and the share of estimates that are off by more than 5 %.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import trim_mean

from storage.store import Store
from storage.tables import Measurement
from tasks.timing.stats import Floats

DRAWS = 60
"""Samples per pair of arms and size."""
SIZES = (8, 18, 40)


def _hodges_lehmann(one: Floats, other: Floats) -> float:
    ratios = other - one
    rows, columns = np.triu_indices(len(ratios))
    return float(np.median((ratios[rows] + ratios[columns]) / 2))


ESTIMATORS: dict[str, Callable[[Floats, Floats], float]] = {
    "median of ratios": lambda one, other: float(np.median(other - one)),
    "Hodges-Lehmann": _hodges_lehmann,
    "25 % trimmed mean": lambda one, other: float(trim_mean(other - one, 0.25)),
    "mean of ratios": lambda one, other: float(np.mean(other - one)),
    "ratio of 10 % quantiles": lambda one, other: float(np.quantile(other, 0.1) - np.quantile(one, 0.1)),
    "ratio of minima": lambda one, other: float(other.min() - one.min()),
}
"""Of the logs of the times of two arms in the same rounds."""


def errors(store: Store) -> dict[tuple[str, int, str], list[float]]:
    """Logs of the estimates by workload, number of rounds and estimator."""
    rng = np.random.default_rng(0)
    found: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    columns = ("process", "wall_ns", "wait_ns", "number", "warmup")
    frame = store.frame(Measurement, columns=columns).filter(~pl.col("warmup"))
    frame = frame.with_columns(log=((pl.col("wall_ns") - pl.col("wait_ns")) / pl.col("number")).log())
    for (_, test_id), session in frame.group_by("session_id", "test_id"):
        wide = session.pivot(on="arm", index="round", values="log").drop("round").drop_nulls()
        for one, other in combinations(wide.columns, 2) if len(wide) >= min(SIZES) else ():
            times = wide.select(one, other).to_numpy()
            for size in SIZES:
                for _ in range(DRAWS):
                    drawn = times[rng.integers(len(times), size=size)]
                    for name, estimator in ESTIMATORS.items():
                        found[str(test_id), size, name].append(estimator(drawn[:, 0], drawn[:, 1]))
    return found


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="what --keep of timing_run left")
    found = errors(Store(parser.parse_args().store))
    print("| workload | rounds | " + " | ".join(ESTIMATORS) + " |")
    print("|" + "---|" * (2 + len(ESTIMATORS)))
    for test_id, size in sorted({key[:2] for key in found}):
        cells = []
        for name in ESTIMATORS:
            values = np.array(found[test_id, size, name])
            cells.append(f"{np.sqrt(np.mean(values**2)):.4f}, {np.mean(np.abs(values) > np.log(1.05)):.0%}")
        print(f"| {test_id.removeprefix('bench-')} | {size} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
