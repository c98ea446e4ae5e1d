"""From samples to answers: the clocks are compared, ratios get intervals, intervals answer questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tasks.timing.models import Question, Race, Sample, Verdict
from tasks.timing.stats import Floats, Interval, interval, ratio_of_means

CLOCK_TOLERANCE = 0.05
"""Share of the probe's time that the driver's clock may show on top, compared with base, before clocks disagree."""
CLOCK_SLACK_NS = 300_000
"""And this much in any case: pipes and scheduling differ from call to call."""
WAIT_TOLERANCE = 0.25
"""Share of its time that an arm may wait for its core beyond what base waits, on average over the rounds."""
SETUP_TOLERANCE = 0.5
"""Share of the time saved in the experiment that may reappear in setup before the arm is flagged."""


def judge(found: Interval | None, threshold: float) -> Verdict:
    """`yes` if the whole interval reaches the threshold, `no` if all of it is below, else `inconclusive`."""
    if found is None:
        return "inconclusive"
    if found.low >= threshold:
        return "yes"
    return "no" if found.high < threshold else "inconclusive"


def questions_for(arms: Sequence[str], min_speedup: float, opt_threshold: float) -> list[Question]:
    """Every arm against base, and every patch against human where there is one."""
    found = [Question(arm=arm, against="base", threshold=min_speedup) for arm in arms if arm != "base"]
    if "human" in arms:
        patches = [arm for arm in arms if arm not in ("base", "human")]
        found += [Question(arm=arm, against="human", threshold=opt_threshold) for arm in patches]
    return found


def counted(samples: Sequence[Sample], arm: str) -> dict[int, Sample]:
    """Samples of an arm that count, by round: no warm-up, nothing that was found incorrect."""
    return {s.round: s for s in samples if s.arm == arm and not s.warmup and s.correct is not False}


def clock_flags(samples: Sequence[Sample], arm: str) -> list[str]:
    """Names of what is wrong with the arm's clocks or setup, measured against base in the same rounds.

    `clocks_disagree`: the driver saw more time pass than the probe reports, or less, by more than the pipe explains; or
    the arm claims to have waited for its core far more than base did in the same rounds.
    `work_in_setup`: at least half of what the experiment saves is spent in setup instead. Needs 3 common rounds.
    """
    ours, base = counted(samples, arm), counted(samples, "base")
    common = sorted(set(ours) & set(base))
    if arm == "base" or len(common) < 3:
        return []
    flags = []
    wall = np.array([ours[r].wall_ns for r in common], dtype=float)
    hidden = np.array([ours[r].outside_ns - ours[r].wall_ns for r in common], dtype=float)
    usual = np.array([base[r].outside_ns - base[r].wall_ns for r in common], dtype=float)
    excess = float(np.median(hidden) - np.median(usual))
    waited, base_waited = (
        float(np.mean([samples_of[r].wait_ns / max(1, samples_of[r].wall_ns) for r in common]))
        for samples_of in (ours, base)
    )
    strange = abs(excess) > max(CLOCK_SLACK_NS, CLOCK_TOLERANCE * float(np.median(wall))) or (hidden < 0).any()
    if strange or waited > base_waited + WAIT_TOLERANCE:
        flags.append("clocks_disagree")
    saved = float(np.median([base[r].wall_ns - ours[r].wall_ns for r in common]))
    moved = float(np.median([ours[r].setup_ns - base[r].setup_ns for r in common]))
    if saved > 0 and moved > SETUP_TOLERANCE * saved:
        flags.append("work_in_setup")
    return flags


def log_ratios(samples: Sequence[Sample], arm: str, against: str, clock: str = "net_ns") -> list[Floats]:
    """Log of time(against) / time(arm) of every round that has both, one array per set of processes."""
    ours, theirs = counted(samples, arm), counted(samples, against)
    sets: dict[int, list[float]] = defaultdict(list)
    for number in sorted(set(ours) & set(theirs)):
        one, other = ours[number], theirs[number]
        mine, reference = max(1, getattr(one, clock)), max(1, getattr(other, clock))
        sets[one.process].append(np.log(reference / other.number) - np.log(mine / one.number))
    return [np.array(values) for _, values in sorted(sets.items())]


def compare(race: Race, arm: str, against: str, confidence: float, protocol: str) -> Interval | None:
    """The speedup of `arm` over `against`; by the driver's clock where an arm's clocks disagree.

    None if there are fewer than two rounds that have both.
    """
    suspicious = any("clocks_disagree" in clock_flags(race.samples, name) for name in (arm, against))
    clock = "net_outside_ns" if suspicious else "net_ns"
    if protocol == "sequential":
        times = [
            np.array([getattr(s, clock) / s.number for s in counted(race.samples, name).values()], dtype=float)
            for name in (against, arm)
        ]
        return ratio_of_means(times[0], times[1], confidence)
    return interval(log_ratios(race.samples, arm, against, clock), confidence)


def point_verdict(found: Interval | None, threshold: float) -> Verdict:
    """GSO's verdict: the estimate alone decides."""
    if found is None:
        return "inconclusive"
    return "yes" if found.ratio >= threshold else "no"
