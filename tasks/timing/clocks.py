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
SIGN_Z = 2.33
"""Normal quantile of the sign test behind flags."""
SETUP_TOLERANCE = 0.5
"""Share of the time saved in the experiment that may reappear in setup before the arm is flagged."""


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
