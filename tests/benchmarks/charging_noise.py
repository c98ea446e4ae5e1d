"""How steady load, setup, call and digests are on real repositories: what charging can tell apart.

    python -m tests.benchmarks.charging_noise noise.jsonl --minutes 4
    python -m tests.benchmarks.charging_noise noise.jsonl --minutes 0        # only the tables

Identical code as two arms, in processes on one core. Every other round asks both at the same moment for their setups,
then for their calls, then for their digests; the rounds between ask one after the other. Every other pair of processes
loads at the same moment. All is CPU time of the sandbox by the kernel. Releases of five projects are installed into a
temporary folder; their perf tests lie in `charging/`. Started again with the same file, it goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from configs.models import SandboxConfig
from storage.store import Store
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.models import Arm, Sandbox
from tasks.sandbox.probe.session import ProbeSession
from tasks.timing.core_leases import leased_cores, pinning
from tasks.timing.protocols.planning import MAX_BATCH, SHARED_S
from tests.benchmarks.charging_tables import OUTSIDE, tables
from tests.benchmarks.timing_run import lines_of
from tests.benchmarks.timing_workloads import environment

PROJECTS = {
    "sqlparse_format": "sqlparse==0.5.3",
    "boltons_windows": "boltons==25.0.0",
    "tornado_template": "tornado==6.5",
    "msgpack_pure": "msgpack==1.1.0",
    "uncertainties_arrays": "uncertainties==3.2.2",
}
"""Release that each perf test in `charging/` is about."""
ROUNDS = 10
"""Of one set of processes, half of them at the same moment; what is before them is warm-up."""
LOADS = 5
"""Pairs of processes that load, for one set whose rounds are played."""
Probes = list[ProbeSession]
Ask = Callable[[Callable[[ProbeSession], Any]], list[Any]]
"""Does something with the probes of both arms, in one of two ways; what it gave, in the arms' order."""


def install(name: str, work: Path) -> str:
    """The folder, within `work`, that holds the release; both arms have it as their checkout."""
    folder = work / name
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*command, "--target", str(folder), PROJECTS[name]], check=True)
    return folder.name


@contextmanager
def asking(probes: list[ProbeSession], rng: np.random.Generator) -> Iterator[dict[bool, Ask]]:
    """Both ways: at the same moment (True), and one after the other in random order (False)."""
    with ThreadPoolExecutor(len(probes)) as pool:

        def together(what: Callable[[ProbeSession], Any]) -> list[Any]:
            return list(pool.map(what, probes))

        def in_turn(what: Callable[[ProbeSession], Any]) -> list[Any]:
            found = {index: what(probes[index]) for index in map(int, rng.permutation(len(probes)))}
            return [found[index] for index in range(len(probes))]

        yield {True: together, False: in_turn}


def load_ns(probe: ProbeSession, script: str) -> int:
    """CPU time of loading the perf test."""
    probe.greet()
    probe.spent()
    probe.load(script)
    return probe.spent().load_ns


def one_round(ask: Ask, seed: int, number: int) -> dict[str, Any]:
    """CPU time in ms per call, of both arms, by phase. A batch's digests are all asked for."""
    ask(lambda probe: probe.spent())  # from here on
    ask(lambda probe: probe.setup(seed, number, False))
    calls = [timed.cpu_ns for timed in ask(lambda probe: probe.run(number))]
    ask(lambda probe: probe.digests(range(number)))
    spent = ask(lambda probe: probe.spent())
    outside = {phase: [getattr(one, f"{phase}_ns") for one in spent] for phase in OUTSIDE}
    found = {"call": calls, **outside}
    return {name: [ns / 1e6 / number for ns in values] for name, values in found.items()}


@contextmanager
def pair(name: str, sandbox: Sandbox, work: Path, cores: tuple[int, ...], rng: np.random.Generator) -> Iterator[Probes]:
    """Fresh processes of both arms, on one core, with one hash seed; nothing is loaded yet."""
    arms = [
        Arm(name=arm, arm_id=arm, checkout=install(name, work), environment=environment("local"))
        for arm in ("base", "same")
    ]
    limits, cpus = limits_of(SandboxConfig(), None), pinning(cores, int(rng.integers(2)), 1)
    seed = int(rng.integers(1, 2**32 - 1))
    with ExitStack() as stack:
        probes = [
            stack.enter_context(ProbeSession(sandbox, arm, work, cpus=cpus, limits=limits, hash_seed=seed))
            for arm in arms
        ]
        for probe in probes:
            probe.greet()
        yield probes


def one_set(name: str, sandbox: Sandbox, work: Path, cores: tuple[int, ...]) -> dict[str, Any]:
    """The rounds of one set of fresh processes, and what loading takes in some more."""
    rng = np.random.default_rng()
    script = (Path(__file__).parent / "charging" / f"{name}.py").read_text()
    loads, rounds = [], []
    for index in range(LOADS):
        with pair(name, sandbox, work, cores, rng) as probes, asking(probes, rng) as ways:
            loaded = ways[index % 2 == 0](lambda probe: load_ns(probe, script))
            loads.append({"together": index % 2 == 0, "load": [ns / 1e6 for ns in loaded]})
            if index < LOADS - 1:
                continue
            one_round(ways[False], 1, 1)
            number = min(MAX_BATCH, ceil(SHARED_S * 1e3 / max(one_round(ways[False], 2, 1)["call"])))
            for turn in range(-2, ROUNDS):
                found = one_round(ways[turn % 2 == 0], int(rng.integers(2**31)), number)
                if turn >= 0:
                    rounds.append({"together": turn % 2 == 0, **found})
    return {"workload": name, "number": number, "loads": loads, "rounds": rounds}


def run(options: argparse.Namespace, store: Store) -> None:
    """Measure until the time is up; projects take turns."""
    done = Counter(line["workload"] for line in lines_of(options.out))
    for name in options.projects:
        install(name, store.work)  # before the clock starts
    end = time.monotonic() + options.minutes * 60
    with open_sandbox(SandboxConfig(kind="local")) as sandbox, leased_cores() as cores:
        while time.monotonic() < end:
            name = min(options.projects, key=lambda name: done[name])
            line = one_set(name, sandbox, store.work, cores)
            done[name] += 1
            with options.out.open("a") as file:
                file.write(json.dumps(line) + "\n")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="file of JSON lines to append to")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--projects", nargs="+", default=list(PROJECTS), choices=list(PROJECTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        if options.minutes:
            run(options, Store(Path(folder)))
    print("\n".join(tables(lines_of(options.out))))


if __name__ == "__main__":
    main()
