"""What the clocks of a session say about each other: how long a call really took, and which arm lies about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.timing.models import Sample
from tasks.timing.stats import PROCESS_SD, Floats, median_interval

CLOCK_TOLERANCE = 0.05
"""Share of the probe's time that the driver's clock may show on top, compared with base, before clocks disagree."""
CLOCK_SLACK_NS = 300_000
"""And this much in any case: pipes and scheduling differ from call to call."""
WAIT_MARGIN = 0.05
"""Share of its time that an arm may wait for its core beyond what base waits, on average over the rounds."""
SURELY = 2.5
MOST = 0.75
"""A flag needs this share of rounds above its limit, and a median above it by this many standard errors."""
PROCESS_Z = 2.33
"""Normal quantile of what is allowed for the effects of processes."""
MOVED_TOLERANCE = 0.5
"""Share of the time saved in the experiment that may reappear before or after it until the arm is flagged."""
IDLE_TOLERANCE = 0.2
"""Share of base's time that an arm may use of the processor between its calls, whatever it saves."""
ASKED_SLACK_NS = 50_000
"""CPU time that one more result may cost in any case, because the kernel's count is read a little late."""
CLEARED_AT = 0.9
"""Confidence of the interval whose upper end clears an arm: in 5 % of cases at most one whose work moved whole."""
FEWEST = 2
"""Common rounds without which flags say nothing."""


def counted(samples: Sequence[Sample], arm: str) -> dict[int, Sample]:
    """Samples of an arm that count, by round: no warm-up, nothing that was found incorrect."""
    return {s.round: s for s in samples if s.arm == arm and not s.warmup and s.correct is not False}


def clock_flags(samples: Sequence[Sample], arm: str) -> list[str]:
    """Names of what is wrong with where the arm's time goes, measured against base in the same rounds.

    `clocks_disagree`: the driver saw more time pass than the probe reports, or less, by more than the pipe explains; or
    the arm claims to have waited for its core far more than base did in the same rounds.
    `work_in_setup`: at least half of the CPU time that the experiment saves is spent in setup instead.
    `work_after_call`: at least half of it is spent between calls or while the result is asked for; or the arm works
    between calls as if it were called.
    """
    one, other = _common(samples, arm)
    if arm == "base" or len(one) < FEWEST:
        return []
    saved = _saved(one, other)
    found = {
        "clocks_disagree": _clocks_disagree(one, other),
        "work_in_setup": saved > 0 and _before(one, other, saved).surely,
        "work_after_call": (saved > 0 and _after(one, other, saved).surely) or _busy_between(one, other).surely,
    }
    return [flag for flag, wrong in found.items() if wrong]


def doubtful(samples: Sequence[Sample], arm: str) -> bool:
    """Whether it is still open where the arm's work went: not enough is known to flag it, nor to clear it.

    What is spent in setup and after the call counts together here, so that halves in both places stay in doubt.
    """
    if arm == "base" or clock_flags(samples, arm):
        return False
    one, other = _common(samples, arm)
    if len(one) < FEWEST:
        return True
    saved = _saved(one, other)
    if not saved:
        return False
    before, after = _before(one, other, saved), _after(one, other, saved)
    moved = before.ours - before.base + after.ours - after.base
    # The sign test's interval, because a core that changes its speed makes noise that no standard error describes.
    return median_interval(moved, CLEARED_AT)[2] > max(before.limit, after.limit)


def _common(samples: Sequence[Sample], arm: str) -> tuple[list[Sample], list[Sample]]:
    """The arm's and base's samples of the rounds that both have, in order."""
    ours, base = counted(samples, arm), counted(samples, "base")
    rounds = sorted(set(ours) & set(base))
    return [ours[number] for number in rounds], [base[number] for number in rounds]


def _clocks_disagree(ours: Sequence[Sample], base: Sequence[Sample]) -> bool:
    wall = float(np.median([s.wall_ns for s in ours]))
    hidden, usual = (_column([s.outside_ns - s.wall_ns for s in samples]) for samples in (ours, base))
    waited, usually = (_column([_strange(s) / max(1, s.wall_ns) for s in samples]) for samples in (ours, base))
    slack = max(CLOCK_SLACK_NS, CLOCK_TOLERANCE * wall)
    return (
        _surely_above(hidden, usual, slack)
        or _surely_above(usual, hidden, slack)
        or _surely_above(waited, usually, 3 * WAIT_MARGIN)
    )


@dataclass(frozen=True)
class _Moved:
    """CPU time per call, in nanoseconds, that two arms use outside the call, round by round."""

    ours: Floats
    base: Floats
    limit: float
    """What ours may use more than base's."""

    @property
    def noise(self) -> float:
        """MAD that the difference would have between honest arms."""
        return _usual_noise(self.ours, self.base)

    @property
    def surely(self) -> bool:
        """Whether it is over the limit."""
        return _surely_above(self.ours, self.base, self.limit, self.noise)


def _before(ours: Sequence[Sample], base: Sequence[Sample], saved: float) -> _Moved:
    """In setup. Equal code differs between processes by PROCESS_SD: a long one's by more than a short call saves."""
    mine, usual = (_column([s.setup_ns / s.number for s in samples]) for samples in (ours, base))
    noise = PROCESS_Z * PROCESS_SD * math.sqrt(2 / len({s.process for s in base})) * float(np.median(usual))
    return _Moved(mine, usual, max(CLOCK_SLACK_NS / base[0].number, MOVED_TOLERANCE * saved + noise))


def _after(ours: Sequence[Sample], base: Sequence[Sample], saved: float) -> _Moved:
    """Between calls or while the result is asked for. A whole batch could go on there; of its results one is asked."""
    # A result that had to travel is compared with base's, which then did so as well.
    both = [o.result_ns > 0 and b.result_ns > 0 for o, b in zip(ours, base, strict=True)]
    mine, usual = (
        _column(
            [
                s.idle_ns / s.number + s.digest_ns + s.result_ns * travelled
                for s, travelled in zip(samples, both, strict=True)
            ]
        )
        for samples in (ours, base)
    )
    return _Moved(mine, usual, max(ASKED_SLACK_NS, MOVED_TOLERANCE * saved))


def _busy_between(ours: Sequence[Sample], base: Sequence[Sample]) -> _Moved:
    """Between calls alone: nobody has anything to do there, whether the call saves something or not."""
    mine, usual = (_column([s.idle_ns / s.number for s in samples]) for samples in (ours, base))
    call = float(np.median([s.cpu_ns / s.number for s in base]))
    return _Moved(mine, usual, max(CLOCK_SLACK_NS / base[0].number, IDLE_TOLERANCE * call))


def _saved(ours: Sequence[Sample], base: Sequence[Sample]) -> float:
    """CPU time, in nanoseconds per call, that the experiment takes less than base's; 0 if that is next to nothing."""
    saved = float(np.median([b.cpu_ns / b.number - o.cpu_ns / o.number for o, b in zip(ours, base, strict=True)]))
    return saved if saved > CLOCK_TOLERANCE * float(np.median([s.cpu_ns / s.number for s in base])) else 0.0


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _usual_noise(ours: Floats, base: Floats) -> float:
    """MAD that the difference of two honest arms would have: the larger relative one of both, at base's size.

    What a cheat spends elsewhere varies as well; that must not count as noise.
    """
    relative = max(_mad(values) / max(1.0, float(np.median(values))) for values in (ours, base))
    return math.sqrt(2) * relative * float(np.median(base))


def _surely_above(ours: Floats, base: Floats, limit: float, noise: float | None = None) -> bool:
    """Whether our values exceed base's of the same rounds by more than the limit, beyond what noise explains.

    MOST of the rounds must say so, and the median by SURELY standard errors. One is 1.2533 * 1.4826 * MAD / sqrt(n), as
    for normal errors; the MAD is `noise`, or else the larger one of the differences' own and that of both sides'
    together: with few rounds one of them is easily too small.
    """
    more = ours - base
    spread = max(_mad(more), math.hypot(_mad(ours), _mad(base))) if noise is None else noise
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
    that lies about its clocks gains no more than these margins.
    """
    ours, base = counted(samples, arm), counted(samples, "base")
    pipe = float(np.quantile([s.outside_ns - s.wall_ns for s in base.values()], 0.9)) if base else 0.0
    share, allowed = _strange_share(ours), _strange_share(base) + WAIT_MARGIN
    scale = 1.0 if arm == "base" or share <= allowed else allowed / share
    lost = {n: _lost(s) if s.cpu_bound else _lost(s) - (1 - scale) * _strange(s) for n, s in ours.items()}
    return {
        number: max(1.0, s.wall_ns - lost[number], s.outside_ns - pipe - lost[number]) / s.number
        for number, s in ours.items()
    }


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
