"""What the clocks of a session say about each other: how long a call really took, and which arm lies about it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tasks.timing.models import Sample
from tasks.timing.stats import Floats

CLOCK_TOLERANCE = 0.05
"""Share of the probe's time that the driver's clock may show on top, compared with base, before clocks disagree."""
CLOCK_SLACK_NS = 300_000
"""And this much in any case: pipes and scheduling differ from call to call."""
WAIT_MARGIN = 0.05
"""Share of its time that an arm may wait for its core beyond what base waits, on average over the rounds."""
SURELY = 2.5
MOST = 0.75
"""A flag needs this share of rounds above its limit, and a median above it by this many standard errors."""
FEWEST = 2
"""Common rounds without which flags say nothing."""


def counted(samples: Sequence[Sample], arm: str) -> dict[int, Sample]:
    """Samples of an arm that count, by round: no warm-up, nothing that was found incorrect."""
    return {s.round: s for s in samples if s.arm == arm and not s.warmup and s.correct is not False}


def clock_flags(samples: Sequence[Sample], arm: str) -> list[str]:
    """Names of what is wrong with an arm's clocks, measured against base in the same rounds.

    `clocks_disagree`: the driver saw less time pass than the probe reports, which is impossible; or the arm claims to
    have waited for its core far more than base did in the same rounds.
    `late_answers`: the driver saw more time pass than the probe reports, by more than the pipe explains. Nothing is
    gained by it, since the driver's clock bounds the time (`call_times`); threads that go on after a call do this, too.
    """
    one, other = common(samples, arm)
    if arm == "base" or len(one) < FEWEST:
        return []
    hidden, usual = (_column([s.outside_ns - s.wall_ns for s in samples]) for samples in (one, other))
    waited, usually = (_column([_strange(s) / max(1, s.wall_ns) for s in samples]) for samples in (one, other))
    slack = max(CLOCK_SLACK_NS, CLOCK_TOLERANCE * float(np.median([s.wall_ns for s in one])))
    impossible = _surely_above(usual, hidden, slack) or _surely_above(waited, usually, 3 * WAIT_MARGIN)
    late = _surely_above(hidden, usual, slack)
    return ["clocks_disagree"] * impossible + ["late_answers"] * late


def common(samples: Sequence[Sample], arm: str, against: str = "base") -> tuple[list[Sample], list[Sample]]:
    """The samples of an arm and of another of the rounds that both have, in order."""
    ours, others = counted(samples, arm), counted(samples, against)
    rounds = sorted(set(ours) & set(others))
    return [ours[number] for number in rounds], [others[number] for number in rounds]


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _surely_above(ours: Floats, base: Floats, limit: float) -> bool:
    """Whether our values exceed base's of the same rounds by more than the limit, beyond what noise explains.

    MOST of the rounds must say so, and the median by SURELY standard errors. One is 1.2533 * 1.4826 * MAD / sqrt(n), as
    for normal errors; the MAD is the larger one of the differences' own and that of both sides' together: with few
    rounds one of them is easily too small.
    """
    more = ours - base
    spread = max(_mad(more), math.hypot(_mad(ours), _mad(base)))
    error = 1.2533 * 1.4826 * spread / math.sqrt(len(more))
    return bool((more > limit).mean() >= MOST and np.median(more) > limit + SURELY * error)


def _mad(values: Floats) -> float:
    """Median absolute deviation from the median."""
    return float(np.median(np.abs(values - np.median(values))))


def call_times(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """Nanoseconds per call of the arm's counted rounds: what its own clock says, as far as the driver can confirm it.

    From the probe's time is taken off what was lost to others (`_lost`). Where the kernel cannot tell it from the arm's
    own threads and sleep, that may be no larger share (on average) than base's and WAIT_MARGIN more. The time is at
    least what the driver's clock saw, less the same and less what the pipe costs base in nine of ten rounds. So a patch
    that lies about its clocks gains no more than these margins. And it is at least the CPU time of the whole sandbox
    over its cores: the part of a thread or child that outlasts the call is work of the call.
    """
    ours, base = counted(samples, arm), counted(samples, "base")
    pipe = float(np.quantile([s.outside_ns - s.wall_ns for s in base.values()], 0.9)) if base else 0.0
    share, allowed = _strange_share(ours), _strange_share(base) + WAIT_MARGIN
    scale = 1.0 if arm == "base" or share <= allowed else allowed / share
    lost = {n: _lost(s) if s.cpu_bound else _lost(s) - (1 - scale) * _strange(s) for n, s in ours.items()}
    return {
        number: max(1.0, s.wall_ns - lost[number], s.outside_ns - pipe - lost[number], _least(s)) / s.number
        for number, s in ours.items()
    }


def _least(sample: Sample) -> float:
    """Nanoseconds that the batch took at least: what it computed could not be computed in less on its cores."""
    return sample.cpu_ns / sample.cores if sample.cores else 0.0


def wall_times(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """Nanoseconds per call of the arm's counted rounds by the probe's clock alone: what others measure."""
    return {number: s.wall_ns / s.number for number, s in counted(samples, arm).items()}


def _lost(sample: Sample) -> int:
    """Nanoseconds of wall time that were not the call's own.

    Its wait for the core. And where it needed nothing but the core, all that was not its CPU time: a virtual machine's
    cores are taken away for a while, too, and nobody waits then.
    """
    return max(sample.wait_ns, sample.wall_ns - sample.cpu_ns) if sample.cpu_bound else sample.wait_ns


def _strange(sample: Sample) -> int:
    """What was lost, and those who shared the core do not explain it."""
    return max(0, _lost(sample) - sample.company_ns)


def _strange_share(samples: dict[int, Sample]) -> float:
    return sum(map(_strange, samples.values())) / max(1, sum(s.wall_ns for s in samples.values()))
