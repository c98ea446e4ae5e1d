"""The screen: a few rounds of base and human side by side, which drop plainly hopeless tests before full sessions."""

from __future__ import annotations

import re
from statistics import median

from configs.models import PerfTestConfig
from tasks.perftests.gates.context import OWN_CODE, SEED, Bench, Clock, GateFailed, once, varies
from tasks.perftests.models import Proposal
from tasks.sandbox.models import Arm
from tasks.sandbox.probe.session import ProbeError, ProbeSession

SCREEN_S = 30.0
"""Time for all rounds; if they take longer, fewer are played, and fewer than wanted never drop anything."""
BATCH_S = 0.02
"""Shorter experiments are called several times per round, each on a workload of its own."""
MAX_BATCH = 20
COLD_RUNS = 3
MAX_COLD = 2.0
"""First calls on base that take so many times as long as later ones say nothing about human's."""


def screen(
    proposal: Proposal,
    base: ProbeSession,
    human: ProbeSession,
    seconds: float,
    correct: bool,
    config: PerfTestConfig,
    clock: Clock,
) -> float | None:
    """Median of base's time over human's, over paired rounds on fresh seeds; None if the screen is off.

    Fails if the ratio is below `screen_speedup` in every one of the rounds: a test whose true median ratio is at least
    that is dropped with probability 2 ** -rounds at most. A test with a wrong result of human goes on, since its
    session then drops the commit.
    """
    rounds = config.screen_rounds
    if not rounds:
        return None
    number = min(MAX_BATCH, max(1, round(BATCH_S / max(seconds, 1e-6)))) if varies(proposal) else 1
    affordable = int(min(SCREEN_S, clock.left_s / 2) / max(2 * seconds * number, 1e-6))
    ratios = []
    try:
        for turn in range(min(rounds, affordable)):
            walls = {}
            pair = [("base", base), ("human", human)]
            for name, probe in pair if turn % 2 else pair[::-1]:
                probe.setup(SEED + 1 + turn * number, number, digest=False)
                timed = probe.run(number)
                walls[name] = max(timed.wall_ns - timed.wait_ns, 1)
            ratios.append(walls["base"] / walls["human"])
    except ProbeError as error:
        raise GateFailed("screen", f"in the timing screen it fails: {error}") from None
    if not ratios:
        return None
    found = median(ratios)
    if correct and len(ratios) == rounds and max(ratios) < config.screen_speedup:
        raise GateFailed(
            "screen",
            f"too_slow: human is {found:.3g}x as fast as base here, in all {rounds} rounds less than "
            f"{config.screen_speedup:g}x (from {min(ratios):.3g}x to {max(ratios):.3g}x)",
        )
    return found


def repeats(script: str) -> bool:
    """Whether one experiment calls the repository's own code more than once, on the same input each time."""
    found = re.search(r"^NUMBER = (\d+)$", script, re.MULTILINE)
    return bool(found) and int(found[1]) > 1  # type: ignore[index]


def only_when_repeated(bench: Bench, proposal: Proposal, clock: Clock) -> bool:
    """Whether human is faster only from the second call on with the same input, as a cache of results would be.

    True if the gain of first calls, in fresh processes, is less than a quarter of the gain of later calls. Calls so
    short that the first one is slow by itself (imports, caches of the machine) decide nothing.
    """
    if proposal.source not in OWN_CODE or not repeats(proposal.script):
        return False
    script = once(proposal)
    cold: dict[str, float] = {}
    warm: dict[str, float] = {}
    try:
        for arm in (bench.base, bench.human):
            calls = [_calls(bench, arm, script, clock) for _ in range(COLD_RUNS)]
            cold[arm.name], warm[arm.name] = min(first for first, _ in calls), min(later for _, later in calls)
    except ProbeError:
        return False
    if cold[bench.base.name] > MAX_COLD * warm[bench.base.name]:
        return False
    gain = warm[bench.base.name] / warm[bench.human.name] - 1
    return gain > 0.2 and cold[bench.base.name] / cold[bench.human.name] - 1 < gain / 4


def _calls(bench: Bench, arm: Arm, script: str, clock: Clock) -> tuple[float, float]:
    """Nanoseconds of the first call of a process, and of the best of three later ones."""
    with bench.session(arm, clock) as probe:
        probe.load(script)
        probe.setup(SEED, digest=False)
        first = probe.run().wall_ns
        return first, min(probe.run().wall_ns for _ in range(3))
