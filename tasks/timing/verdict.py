"""From samples to answers: the clocks are compared, ratios get intervals, intervals answer questions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tasks.timing.models import Question, Race, Sample, Verdict
from tasks.timing.stats import Floats, Interval, interval, ratio_of_means

CLOCK_TOLERANCE = 0.05
"""Share of the probe's time that the driver's clock may show on top, compared with base, before clocks disagree."""
CLOCK_SLACK_NS = 300_000
"""And this much in any case: pipes and scheduling differ from call to call."""
WAIT_MARGIN = 0.05
"""Share of its time that an arm may wait for its core beyond what base waits, on average over the rounds."""
SIGN_Z = 2.33
"""Normal quantile of the sign test behind flags."""
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
    `work_in_setup`: at least half of what the experiment saves is spent in setup instead. Needs 4 common rounds.
    """
    ours, base = counted(samples, arm), counted(samples, "base")
    common = sorted(set(ours) & set(base))
    if arm == "base" or len(common) < 4:
        return []
    one, other = ([samples_of[number] for number in common] for samples_of in (ours, base))
    flags = []
    wall = float(np.median([s.wall_ns for s in one]))
    hidden = _column([s.outside_ns - s.wall_ns for s in one])
    excess = hidden - _column([s.outside_ns - s.wall_ns for s in other])
    waited = _column([s.wait_ns / max(1, s.wall_ns) for s in one]) - _column(
        [s.wait_ns / max(1, s.wall_ns) for s in other]
    )
    slack = max(CLOCK_SLACK_NS, CLOCK_TOLERANCE * wall)
    strange = _surely_above(excess, slack) or _surely_above(-excess, slack) or bool((hidden < 0).any())
    if strange or _surely_above(waited, 3 * WAIT_MARGIN):
        flags.append("clocks_disagree")
    base_wall = float(np.median([s.wall_ns / s.number for s in other]))
    saved = float(np.median([b.wall_ns / b.number - o.wall_ns / o.number for o, b in zip(one, other, strict=True)]))
    moved = _column([o.setup_ns / o.number - b.setup_ns / b.number for o, b in zip(one, other, strict=True)])
    if saved > CLOCK_TOLERANCE * base_wall and _surely_above(moved, SETUP_TOLERANCE * saved):
        flags.append("work_in_setup")
    return flags


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _surely_above(values: Floats, limit: float) -> bool:
    """Whether more rounds are above the limit than chance explains (sign test, 1 %): honest arms meet noise too."""
    count = len(values)
    return bool((values > limit).sum() >= count / 2 + SIGN_Z * math.sqrt(count) / 2)


def call_times(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """Nanoseconds per call of the arm's counted rounds: what its own clock says, as far as the driver can confirm it.

    From the probe's time the wait for the core is taken off, but no larger share of it (on average) than base's and
    WAIT_MARGIN more. The time is at least what the driver's clock saw, less the wait and less what the pipe costs base
    in nine of ten rounds. So a patch that lies about its clocks gains no more than these margins.
    """
    ours, base = counted(samples, arm), counted(samples, "base")
    pipe = float(np.quantile([s.outside_ns - s.wall_ns for s in base.values()], 0.9)) if base else 0.0
    share, allowed = _wait_share(ours), _wait_share(base) + WAIT_MARGIN
    scale = 1.0 if arm == "base" or share <= allowed else allowed / share
    return {
        number: max(1.0, s.wall_ns - scale * s.wait_ns, s.outside_ns - pipe - scale * s.wait_ns) / s.number
        for number, s in ours.items()
    }


def _wait_share(samples: dict[int, Sample]) -> float:
    return sum(s.wait_ns for s in samples.values()) / max(1, sum(s.wall_ns for s in samples.values()))


def log_ratios(samples: Sequence[Sample], arm: str, against: str) -> list[Floats]:
    """Log of time(against) / time(arm) of every round that has both, one array per set of processes."""
    ours, theirs = call_times(samples, arm), call_times(samples, against)
    process_of = {s.round: s.process for s in samples if s.arm == arm}
    sets: dict[int, list[float]] = defaultdict(list)
    for number in sorted(set(ours) & set(theirs)):
        sets[process_of[number]].append(math.log(theirs[number] / ours[number]))
    return [np.array(values) for _, values in sorted(sets.items())]


def compare(race: Race, arm: str, against: str, confidence: float, protocol: str) -> Interval | None:
    """The speedup of `arm` over `against`. None if there are fewer than two rounds that have both."""
    if protocol == "sequential":
        times = [np.array(list(call_times(race.samples, name).values())) for name in (against, arm)]
        return ratio_of_means(times[0], times[1], confidence)
    return interval(log_ratios(race.samples, arm, against), confidence)


def point_verdict(found: Interval | None, threshold: float) -> Verdict:
    """GSO's verdict: the estimate alone decides."""
    if found is None:
        return "inconclusive"
    return "yes" if found.ratio >= threshold else "no"
