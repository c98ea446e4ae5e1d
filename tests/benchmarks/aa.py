"""A/A noise of the timing protocols: identical code against itself, the default protocol beside GSO's sequential one.

    python -m tests.benchmarks.aa --comparisons 20

prints, per workload and protocol: how far the ratios of identical code are from 1, how many cross the thresholds that
decide success, how many intervals miss the truth, and what a comparison costs. Protocols take turns, so both meet the
same weather on the machine. `--load` adds programs that burn all cores for 2 s out of every 4.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from tasks.sandbox.models import Arm, Environment
from tasks.timing.models import Answer
from tasks.timing.session import run_session

CHECK = "\ndef check_equivalence(reference, candidate):\n    assert reference == candidate\n"
WORKLOADS = {
    "cpu": """
def setup(seed):
    return seed

def experiment(state):
    value = state
    for _ in range(300_000):
        value = (value * 1103515245 + 12345) % 2147483648
    return value
""",
    "allocation": """
import random

def setup(seed):
    r = random.Random(seed)
    return [r.random() for _ in range(60_000)]

def experiment(state):
    pairs = [(value, str(value)) for value in state]
    return len([[value] * 3 for value in pairs])
""",
    "dictionary": """
import random

def setup(seed):
    r = random.Random(seed)
    return [str(r.randrange(10**9)) for _ in range(60_000)]

def experiment(state):
    found = {}
    for word in state:
        found[word[:4]] = found.get(word[:4], 0) + 1
    return len(found) + len(set(state))
""",
    "short": """
def setup(seed):
    return list(range(seed % 100, 20_000))

def experiment(state):
    return sum(state)
""",
}


def arms(store: Store) -> list[Arm]:
    """Two checkouts with nothing in them, in the interpreter that runs this."""
    (store.work / "empty").mkdir(exist_ok=True)
    environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    return [Arm(name=name, arm_id=name, checkout="empty", environment=environment) for name in ("base", "human")]


def compare(store: Store, workload: str, protocol: str) -> tuple[Answer, float]:
    """One comparison of the workload with itself, and its seconds."""
    start = time.perf_counter()
    session = run_session(
        repo="aa/aa", instance_id=None, arms=arms(store), test_id=f"aa-{workload}", script=WORKLOADS[workload] + CHECK,
        dialect="isobench", timing=TimingConfig.model_validate({"protocol": protocol}), scoring=ScoringConfig(),
        sandbox=SandboxConfig(), store=store,
    )  # fmt: skip
    (answer,) = session.outcome_of("human").answers
    return answer, time.perf_counter() - start


def describe(results: list[tuple[Answer, float]]) -> list[str]:
    """Cells of one row: count, shares that are wrong, seconds."""
    answers = [answer for answer, _ in results]
    ratios = np.array([answer.ratio for answer in answers])
    shares = {
        "off": np.abs(ratios - 1) > 0.05,
        "below": ratios < 0.95,
        "yes": [answer.verdict == "yes" for answer in answers],
        "missed": [not (answer.ci_low or 0) <= 1 <= (answer.ci_high or 0) for answer in answers],
    }
    seconds = np.mean([seconds for _, seconds in results])
    return [str(len(answers)), *(f"{np.mean(share):.0%}" for share in shares.values()), f"{seconds:.1f}"]


def _burn(stop: float) -> None:
    while time.time() < stop:
        if time.time() % 4 < 2:
            sum(range(10_000))
        else:
            time.sleep(0.05)


@contextmanager
def load(wanted: bool) -> Iterator[None]:
    """Programs that use every core for 2 s out of 4, if wanted."""
    count = os.cpu_count() or 1 if wanted else 0
    burners = [multiprocessing.Process(target=_burn, args=(time.time() + 7200,), daemon=True) for _ in range(count)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.terminate()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=20, help="per workload and protocol")
    parser.add_argument("--workloads", nargs="+", default=["cpu"], choices=list(WORKLOADS))
    parser.add_argument("--load", action="store_true")
    options = parser.parse_args()
    table = Table(
        "workload", "protocol", "sd", "n", "off > 5 %", "< 0.95", "yes at 1.2x", "CI misses 1", "s each", "sd ratio"
    )
    with tempfile.TemporaryDirectory() as folder, load(options.load):
        store = Store(Path(folder))
        for workload in options.workloads:
            found: dict[str, list[tuple[Answer, float]]] = {"sequential": [], "interleaved": []}
            for _ in range(options.comparisons):
                for protocol, results in found.items():
                    results.append(compare(store, workload, protocol))
            spread = {name: float(np.std([answer.ratio for answer, _ in results])) for name, results in found.items()}
            for protocol, results in found.items():
                ratio = f"{spread['sequential'] / spread[protocol]:.1f}x smaller" if protocol != "sequential" else ""
                table.add_row(workload, protocol, f"{spread[protocol]:.4f}", *describe(results), ratio)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
