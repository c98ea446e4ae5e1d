"""From samples to answers: ratios get intervals, intervals answer questions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.timing.charging import charged_times, due_times, estimator, process_sd
from tasks.timing.clocks import call_times, wall_times
from tasks.timing.commands.compare import compare_metric
from tasks.timing.models import Question, Sample, SessionState, Verdict
from tasks.timing.stats import (
    PROCESS_SD,
    Estimator,
    Floats,
    Interval,
    interval,
    median_interval,
    ratio_of_means,
    slower,
)


def verdict_at(found: Interval | None, threshold: float) -> Verdict:
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


Times = Callable[[Sequence[Sample], str], dict[int, float]]
"""(samples, arm) -> time per call of its rounds."""


@dataclass(frozen=True)
class Compared:
    """A comparison of two arms: what counts, and the calls alone."""

    found: Interval
    """The slower of both estimates: of the calls, and of the calls with what the arm is charged."""
    calls: Interval


def log_ratios(samples: Sequence[Sample], arm: str, against: str, times: Times = call_times) -> list[Floats]:
    """Log of time(against) / time(arm) of every round that has both, one array per set of processes.

    `times` are those of `arm`; `against` has its due times (`charging.due_times`). Two arms that were never in one
    round, since each was paired with base, are compared through base: the first round of one in a set of processes with
    the first of the other, and so on.
    """
    ours, theirs = times(samples, arm), due_times(samples, against)
    if not set(ours) & set(theirs) and "base" not in (arm, against):
        return _through_base(log_ratios(samples, arm, "base", times), log_ratios(samples, against, "base", due_times))
    process_of = {s.round: s.process for s in samples if s.arm == arm}
    sets: dict[int, list[float]] = defaultdict(list)
    for number in sorted(set(ours) & set(theirs)):
        sets[process_of[number]].append(math.log(theirs[number] / ours[number]))
    return [np.array(values) for _, values in sorted(sets.items())]


def _through_base(arm: list[Floats], against: list[Floats]) -> list[Floats]:
    """Both have the sets of processes in the same order; an arm that was settled first has fewer rounds."""
    return [one[: len(other)] - other[: len(one)] for one, other in zip(arm, against, strict=False)]


def both_sides(part: Floats) -> Floats:
    """Means of neighbours: a duet's two calls on swapped cores, whose difference in speed is in both with either sign.

    A last one without its other side is left out.
    """
    even = part[: len(part) // 2 * 2]
    return np.asarray(even.reshape(-1, 2).mean(axis=1))


def compare(
    state: SessionState, arm: str, against: str, confidence: float, protocol: str, charging: bool = True
) -> Compared | None:
    """The speedup of `arm` over `against`. None if there are fewer than two rounds that have both."""
    if state.primary:
        return _alone(compare_metric(state, state.primary, arm, against, confidence))
    if protocol == "sequential":
        walls = [np.array(list(wall_times(state.samples, name).values())) for name in (against, arm)]
        return _alone(ratio_of_means(walls[0], walls[1], confidence))

    def estimate(times: Times, process_sd: float, by: Estimator) -> Interval | None:
        sets = log_ratios(state.samples, arm, against, times)
        sets = [both_sides(part) for part in sets] if protocol == "duet" else sets
        return interval(sets, confidence, process_sd, by)

    calls = estimate(call_times, PROCESS_SD, median_interval)
    if not charging:
        return _alone(calls)
    charged = estimate(charged_times, process_sd(state.samples, arm), estimator(state.samples))
    if calls is None or charged is None:
        return None
    return Compared(slower(calls, charged), calls)


def _alone(found: Interval | None) -> Compared | None:
    """A comparison by other means than the clocks of calls: nothing is charged."""
    return Compared(found, found) if found else None


def point_verdict(found: Interval | None, threshold: float) -> Verdict:
    """The estimate alone decides, whatever its interval, as others decide who have none.

    One perf test against one threshold. GSO's own rule speaks of all tests at once, rounds one mean and is strict about
    the other: `tasks.scoring.rules.gso`.
    """
    if found is None:
        return "inconclusive"
    return "yes" if found.ratio >= threshold else "no"
