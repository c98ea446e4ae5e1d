"""What sharing a core does to ratios, by the length of turns: bias, which more rounds do not cure, and noise.

    python -m tests.benchmarks.timing_sharing --minutes 4

Base and human differ in what they need of the core's caches, so that one of them may suffer more from a co-runner. The
same processes are called in every way in turn, one by one and at the same moment with turns of several lengths, so that
neither the layout of processes nor the weather on the machine is between the ways. `to one by one` is the median over
sets of processes of how far their ratio is from that of one by one, +- its standard error; `noise` the deviation of a
round's ratio within a set (1.4826 MAD) and `off > 5 %` the share of rounds that are that far from their set's median.
`--turn-ms 0` is the kernel's own turns; others need Linux 6.12. Ctrl-C prints what is there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from configs.models import SandboxConfig, TimingConfig
from storage.store import Store
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.models import Arm
from tasks.timing.clocks import call_times
from tasks.timing.core_leases import leased_cores, pinning
from tasks.timing.processes import ProcessSet, SessionContext
from tasks.timing.protocols.common import new_state
from tasks.timing.result_check import ResultChecker
from tasks.timing.round_plan import RoundPlan
from tasks.timing.rounds import play
from tests.benchmarks.timing_workloads import environment
from tests.benchmarks.turns import take_turns
from tests.hacks.lab import HUMAN, Lab, script_of

CYCLES = 8
"""Rounds of each way in one set of processes."""
ONE_BY_ONE = -1.0
NAMES = ("base", "human")
Logs = dict[float, np.ndarray[Any, np.dtype[np.float64]]]
"""Of human's speed against base, round by round, by way."""
_SCRIPT = """
import units

def setup(seed):
    return units.prepare(seed)

def experiment(state):
    return units.work(state)

def check_equivalence(reference, candidate):
    pass
"""
_LOOKUPS = """
import random

def prepare(seed):
    r = random.Random(seed)
    table = {{r.random(): n for n in range({size})}}
    return table, r.choices(list(table), k=50_000)

def work(state):
    table, keys = state
    total = 0
    for _ in range({count}):
        for key in keys:
            total += table[key]
    return 0
"""
_GATHER = """
import numpy

def prepare(seed):
    r = numpy.random.default_rng(seed)
    return r.random({size}), r.integers({size}, size=20_000)

def work(state):
    table, order = state
    for _ in range({count}):
        table[order].sum()
    return 0
"""
_CPU = """
def prepare(seed):
    return seed

def work(value):
    for _ in range({count}):
        value = (value * 1103515245 + 12345) % 2147483648
    return 0
"""
PAIRS = {
    "arithmetic / the same": (_CPU.format(count=400_000), _CPU.format(count=400_000)),
    "lookups / arithmetic": (_LOOKUPS.format(size=5_000, count=12), _CPU.format(count=400_000)),
    "numpy 0.5 MB / 16 KB": (_GATHER.format(size=65_536, count=800), _GATHER.format(size=2_048, count=1_000)),
}
"""Code of base and of human. What the first needs of caches fits into them, if nobody else uses them."""
DEMO = "the demo's human"


def track_of(case: str, store: Store, lab: Lab, kind: SandboxConfig) -> SessionContext:
    """The two arms of a case; the sandbox is not open yet."""
    if case == DEMO:
        arms = {"base": lab.arm("base", lab.base_sha), "human": lab.arm("human", HUMAN)}
    else:
        arms = {}
        for name, code in zip(NAMES, PAIRS[case], strict=True):
            folder = store.work / f"case-{list(PAIRS).index(case)}-{name}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "units.py").write_text(code)
            env = environment(kind.kind)
            arms[name] = Arm(name=name, arm_id=folder.name, checkout=folder.name, environment=env)
    return SessionContext(
        sandbox=open_sandbox(kind), work=store.work, arms=arms, script=script_of("count") if case == DEMO else _SCRIPT,
        dialect="isobench", timing=TimingConfig(), limits=limits_of(kind, None),
    )  # fmt: skip


def measure(context: SessionContext, ways: list[float], cores: tuple[int, ...], number: int) -> Logs:
    """The rounds of one set of fresh processes."""
    rng = np.random.default_rng()
    state = new_state(context)
    order = list(NAMES)
    way_of: dict[int, float] = {}
    cpus = pinning(cores, int(rng.integers(2)), 1)
    with (
        ResultChecker(context) as checker,
        ProcessSet(context, state, NAMES, dict.fromkeys(NAMES, cpus), 1) as processes,
    ):
        for cycle in range(-1, CYCLES):
            for way in rng.permutation(ways):
                shared = way != ONE_BY_ONE
                rng.shuffle(order)
                round_plan = RoundPlan(
                    process=0, round=len(way_of), seed=int(rng.integers(2**31)), order=order, number=number,
                    numbers={"human": 10 * number} if number > 1 else {},
                    warmup=cycle < 0, together=shared, one_core=shared,
                )  # fmt: skip
                way_of[round_plan.round] = float(way)
                if shared:
                    take_turns(int(way * 1e6))
                play(processes, state, round_plan, checker)
    assert not state.base_failure, state.base_failure
    assert state.alive("human"), state.states["human"].reason
    found = {}
    for way in ways:
        mine = [one for one in state.samples if way_of[one.round] == way]
        base, human = call_times(mine, "base"), call_times(mine, "human")
        found[way] = np.log([base[n] / human[n] for n in base])
    return found


def table(logs: dict[str, list[Logs]]) -> Iterator[str]:
    """Markdown lines."""
    yield "| case | turns | sets | ratio | to one by one | +- | noise | off > 5 % |"
    yield "|---|---|---|---|---|---|---|---|"
    for case, sets in logs.items():
        for way in sorted(sets[0]):
            what = {ONE_BY_ONE: "one by one", 0.0: "the kernel's"}.get(way, f"{way:g} ms")
            medians = np.array([np.median(one[way]) for one in sets])
            off = medians - np.array([np.median(one[ONE_BY_ONE]) for one in sets])
            error = 1.2533 * np.std(off) / len(off) ** 0.5
            within = np.abs(np.concatenate([one[way] - np.median(one[way]) for one in sets]))
            cells = [
                f"{np.exp(np.median(medians)):.3f}", f"{np.exp(np.median(off)) - 1:+.1%}", f"{error:.1%}",
                f"{1.4826 * np.median(within):.3f}", f"{np.mean(within > 0.05):.0%}",
            ]  # fmt: skip
            yield f"| {case} | {what} | {len(sets)} | {' | '.join(cells)} |"


def run(options: argparse.Namespace, store: Store, add: Callable[[str, Logs], None]) -> None:
    """Measure until the time is up."""
    kind = SandboxConfig()
    lab = Lab(store, kind)
    tracks = {case: track_of(case, store, lab, kind) for case in options.cases}
    end = time.monotonic() + options.minutes * 60
    try:
        with leased_cores() as cores:
            while time.monotonic() < end:
                for case, context in tracks.items():
                    add(case, measure(context, [ONE_BY_ONE, *options.turn_ms], cores, 3 if case == DEMO else 1))
    finally:
        for context in tracks.values():
            context.sandbox.close()


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--cases", nargs="+", default=[*PAIRS, DEMO], choices=[*PAIRS, DEMO])
    parser.add_argument("--turn-ms", nargs="+", type=float, default=[0, 10, 20])
    options = parser.parse_args()
    logs: dict[str, list[Logs]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        run(options, Store(Path(folder)), lambda case, found: logs[case].append(found))
    print("\n".join(table(logs)))


if __name__ == "__main__":
    main()
