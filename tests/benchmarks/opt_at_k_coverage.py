"""How often the interval of Opt@K holds the truth, and how wide it is: `python -m tests.benchmarks.opt_at_k_coverage`.

A cell is a number of instances n, of attempts per instance s, a K, and how instances differ in the probability that an
attempt succeeds: a Beta distribution, all-or-nothing, one rate for all, or a mixture. The truth of a cell is the mean
over such instances of 1 - (1 - p)^K. Each cell is drawn --draws times (standard error of a coverage: 0.35 % at 4,000).
--all plays a grid four times as fine.

`width` is the mean width over that of Clopper and Pearson's interval for n instances of which each is solved or not,
with the same truth: at K = 1 one attempt each, at K = s any of K. `bootstrap` is the percentile bootstrap's coverage.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.scoring.bounded_mean import mean_interval
from tasks.scoring.opt import at_least_one

Floats = NDArray[np.float64]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(192)


@dataclass(frozen=True)
class Rates:
    """How instances differ: Beta(a, b) each with its share of the instances; a point is a pair (p, None)."""

    name: str
    parts: tuple[tuple[float, float, float | None], ...]

    def successes(self, attempts: int) -> Floats:
        """Probability of 0, 1, ..., attempts successes at an instance."""
        count = np.arange(attempts + 1)
        found = np.zeros(attempts + 1)
        for share, a, b in self.parts:
            law = stats.binom(attempts, a) if b is None else stats.betabinom(attempts, a, b)
            found += share * law.pmf(count)
        return found / found.sum()

    def truth(self, k: int) -> float:
        """Opt@K over all such instances."""
        failing = 0.0
        for share, a, b in self.parts:
            steps = np.arange(k)
            failing += share * ((1 - a) ** k if b is None else float(np.prod((b + steps) / (a + b + steps))))
        return 1 - failing


def beta(a: float, b: float) -> Rates:
    """All from one Beta."""
    return Rates(f"Beta({a:g}, {b:g})", ((1.0, a, b),))


RATES = (
    *(beta(a, b) for a, b in [(0.01, 0.1), (0.05, 0.5), (0.1, 0.1), (0.5, 0.5), (0.2, 2), (1, 1), (1, 9), (2, 5),
                              (5, 0.5), (20, 20), (0.5, 50)]),
    *(Rates(f"all or nothing {p:g}", ((1 - p, 0.0, None), (p, 1.0, None))) for p in (0.0, 0.01, 0.1, 0.5, 0.95)),
    *(Rates(f"all {p:g}", ((1.0, p, None),)) for p in (0.02, 0.1, 0.5, 0.9)),
    Rates("1 in 10 at 0.5", ((0.9, 0.0, None), (0.1, 0.5, None))),
    Rates("0.3, 1 in 20 at 1", ((0.95, 0.3, None), (0.05, 1.0, None))),
    Rates("0.1 but 1 in 50 at 1", ((0.98, 0.1, None), (0.02, 1.0, None))),
)  # fmt: skip
INSTANCES, MORE_INSTANCES = (5, 20, 102, 1000), (10, 50, 300)
KS, MORE_KS = (1, 2, 5, 10), (3,)
LOOKED_AT = 12
"""Draws of a cell whose width is computed, and whose bootstrap."""


def cells(everything: bool) -> Iterator[tuple[int, int, int, Rates]]:
    """(instances, attempts, K, rates)."""
    instances, ks = (sorted(INSTANCES + MORE_INSTANCES), sorted(KS + MORE_KS)) if everything else (INSTANCES, KS)
    for n, k, rates in product(instances, ks, RATES):
        for attempts in sorted({k, *([5] if everything else []), 10} - set(range(k))):
            yield n, attempts, k, rates


def values(attempts: int, k: int) -> Floats:
    """What an instance counts for, with 0, 1, ... successes."""
    return np.array([at_least_one(attempts, c, k) for c in range(attempts + 1)])


def covered(x: Floats, counts: Floats, truth: float) -> NDArray[np.bool_]:
    """For each row of counts, whether `mean_interval` holds the truth: the level of each end at the truth says it."""
    upper = _below(np.append(x, 1.0), np.hstack([counts, np.ones((len(counts), 1))]), truth) <= 0.975 + 1e-6
    lower = _below(np.append(1 - x, 1.0), np.hstack([counts, np.ones((len(counts), 1))]), 1 - truth) <= 0.975 + 1e-6
    return np.asarray(upper & lower)


def _below(x: Floats, counts: Floats, at: float) -> Floats:
    """`bounded_mean.below` for many counts of the same values."""
    if at >= 1.0:
        return (counts @ (x < at) == 0) * 0.0  # the end is 1 where the truth is
    steps = x - at
    half = (NODES + 1) / 2
    found = np.empty(len(counts))
    scales = 3 / np.sqrt(counts @ steps**2)
    for scale in np.unique(edges := np.exp2(np.round(np.log2(scales)))):
        rows = np.flatnonzero(edges == scale)
        u = scale * half / (1 - half)
        angles = np.outer(steps, u)
        size = np.exp(-counts[rows] @ np.log1p(angles**2) / 2)
        found[rows] = (
            0.5
            - (np.sin(counts[rows] @ np.arctan(angles)) / u * size) @ (WEIGHTS / 2 * scale / (1 - half) ** 2) / np.pi
        )
    least = np.where(counts > 0, x, 2.0).min(axis=1)
    return np.where(least >= at, 0.0, found)


def bootstrapped(x: Floats, counts: Sequence[float], resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """The percentile bootstrap over instances."""
    n = int(sum(counts))
    means = rng.multinomial(n, np.asarray(counts) / n, size=resamples) @ x / n
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def clopper_pearson(n: int, truth: float) -> float:
    """Mean width of the exact interval for n instances, each solved with probability `truth`."""
    c = np.arange(n + 1)
    with np.errstate(invalid="ignore"):
        low = np.where(c == 0, 0.0, stats.beta.ppf(0.025, c, n - c + 1))
        high = np.where(c == n, 1.0, stats.beta.ppf(0.975, c + 1, n - c))
    return float(stats.binom.pmf(c, n, truth) @ (high - low))


def main() -> None:
    """Draw all cells and print a table: per n and K the worst and the mean over rates and attempts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--cells", action="store_true", help="print every cell that covers less than 95 %%")
    parser.add_argument("--all", action="store_true", help="more instances, attempts and Ks; minutes")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    table: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
    for n, attempts, k, rates in cells(options.all):
        x, truth = values(attempts, k), rates.truth(k)
        drawn = rng.multinomial(n, rates.successes(attempts), size=options.draws).astype(float)
        unique, times = np.unique(drawn, axis=0, return_counts=True)
        share = float(times @ covered(x, unique, truth) / times.sum())
        few = drawn[:LOOKED_AT]
        widths = [high - low for low, high in (mean_interval(x, one) for one in few)]
        naive = np.mean([low <= truth <= high for low, high in (bootstrapped(x, one, 500, rng) for one in few)])
        wide = float(np.mean(widths)) / clopper_pearson(n, truth)
        table.setdefault((n, k), []).append((share, wide, float(naive)))
        if options.cells and share < 0.95:
            print(f"n {n} s {attempts} K {k} {rates.name}: {share:.2%}")
    print("| n | K | cells | covers, worst | covers, mean | width, mean | width, worst | bootstrap, worst |")
    print("|---|---|---|---|---|---|---|---|")
    for (n, k), found in table.items():
        shares, wide, naive = map(np.array, zip(*found, strict=True))
        figures = (f"{shares.min():.1%}", f"{shares.mean():.1%}", f"{wide.mean():.2f}", f"{wide.max():.2f}")
        print(f"| {n} | {k} | {len(found)} | {' | '.join(figures)} | {naive.min():.0%} |")


if __name__ == "__main__":
    main()
