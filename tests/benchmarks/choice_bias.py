"""What choosing among perf tests does to the speedup of an instance, by simulation at a known true speedup.

    python -m tests.benchmarks.choice_bias --commits 2000

Each commit has six tests of the same true speedup. A screen of five rounds picks three; each of these has a session of
20 rounds in four sets of processes. Rounds vary by 6 %, processes by 2 %, one round in ten loses its core and is wild.
Two rules decide: the product's (`tasks.scoring.instances.select`: the mean of all tests that were chosen), and the one
that it had before (tests whose own interval reaches the threshold, the mean of those).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.models import ScoringConfig
from storage.tables import Comparison
from tasks.scoring.aggregate import Speedup, combine
from tasks.scoring.instances import select, speedup_of
from tasks.timing.stats import interval

OFFERED, CHOSEN, SCREEN_ROUNDS, SETS, ROUNDS = 6, 3, 5, 4, 5
ROUND_SD, PROCESS_SD, WILD, WILD_SD = 0.06, 0.02, 0.1, 0.4


@dataclass(frozen=True)
class Told:
    """What a rule says of many commits of one true speedup."""

    instances: float
    """Share of commits that become instances."""
    mean: float
    """Geometric mean of the speedups that are told of all commits, as if each became one."""
    mean_of_instances: float


def rounds(rng: np.random.Generator, true: float, count: int) -> np.ndarray:
    """Log-ratios of one set of processes."""
    wild = rng.random(count) < WILD
    noise = rng.normal(0.0, np.where(wild, WILD_SD, ROUND_SD))
    return np.asarray(math.log(true) + rng.normal(0.0, PROCESS_SD) + noise)


def session(rng: np.random.Generator, true: float, test: int) -> Comparison:
    """A session of one test, as a row."""
    found = interval([rounds(rng, true, ROUNDS) for _ in range(SETS)], 0.95, PROCESS_SD)
    assert found is not None
    verdict = Speedup(found.ratio, found.low, found.high).verdict(ScoringConfig().min_speedup)
    return Comparison(
        session_id=f"s{test}", test_id=f"t{test}", arm="human", against="base", repo="a/b", status="ok", question=1.2,
        verdict=verdict, machine_id="m", n_rounds=found.n_rounds, ratio=found.ratio, ci_low=found.low,
        ci_high=found.high,
    )  # fmt: skip


def commit(rng: np.random.Generator, true: float) -> list[Comparison]:
    """Sessions of the tests that the screen chose."""
    screens = sorted(range(OFFERED), key=lambda _: -float(np.median(rounds(rng, true, SCREEN_ROUNDS))))
    return [session(rng, true, test) for test in screens[:CHOSEN]]


def before(rows: Sequence[Comparison]) -> list[Comparison]:
    """The rule that there was: what came out fast enough."""
    return [row for row in rows if row.verdict == "yes"]


def simulate(true: float, commits: int, seed: int = 0) -> dict[str, Told]:
    """Rule -> what it says. Deterministic."""
    rng = np.random.default_rng(seed)
    told: dict[str, list[tuple[bool, float]]] = {"all that were chosen": [], "those that came out fast": []}
    for _ in range(commits):
        rows = commit(rng, true)
        kept, _ = select(rows, ScoringConfig())
        told["all that were chosen"].append((bool(kept), combine([speedup_of(row) for row in rows]).ratio))
        fast = before(rows)
        best = fast or [max(rows, key=lambda row: row.ci_low or 0.0)]
        told["those that came out fast"].append((bool(fast), combine([speedup_of(row) for row in best]).ratio))
    return {rule: _summed_up(found) for rule, found in told.items()}


def _summed_up(found: Sequence[tuple[bool, float]]) -> Told:
    logs = np.log([ratio for _, ratio in found])
    kept = np.array([is_kept for is_kept, _ in found])
    of_kept = float(np.exp(logs[kept].mean())) if kept.any() else float("nan")
    return Told(float(kept.mean()), float(np.exp(logs.mean())), of_kept)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=2000)
    given = parser.parse_args()
    print("| true | rule | told, all commits | instances | told, of instances |\n|--:|---|--:|--:|--:|")
    for true in (1.0, 1.2, 1.5):
        for rule, told in simulate(true, given.commits).items():
            of = "-" if math.isnan(told.mean_of_instances) else f"{told.mean_of_instances:.3f}"
            print(f"| {true} | {rule} | {told.mean:.3f} | {told.instances:.3f} | {of} |")


if __name__ == "__main__":
    main()
