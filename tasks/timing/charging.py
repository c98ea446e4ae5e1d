"""Charging: what an arm's sandbox uses beside its calls, beyond what base uses for the same, is added to its calls.

Work that is moved out of the call (into setup, loading, the hash of a result, a thread that goes on between calls) is
then as slow there as it was inside. Differences to base are signed and taken round by round, so noise cancels in their
median and shrinks as rounds are added. There is no tolerance to fill. A charge is never a credit: `due_times` and the
verdict take the larger of an arm's two times, with and without it.

All of it is CPU time of whole sandboxes, read from outside by the session's meter. Units are nanoseconds per call.

Loading is shared by a rule that does not depend on how long a session is: a process counts as one that makes as many
calls as base makes in PROCESS_S, at least one. To loading belongs what the first calls of a process (its warm-up) use
beyond a usual one, since pools, caches and indexes are made there. A process whose first call counts, because every
round has fresh processes, makes one call: it pays for its loading whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.timing.clocks import call_times, common, counted
from tasks.timing.models import Sample
from tasks.timing.stats import PROCESS_SD, Estimator, median_interval, signed_rank_interval

PROCESS_S = 10.0
"""Seconds of base's calls among which loading is shared. First calls meet cold caches: what a process uses until it is
warm varies by some milliseconds, and in one second of calls that would hide a twentieth of a fast one."""
OUTSIDE_SD = 0.003
"""Before any data: setups of equal code differ between processes by about this share of their CPU time."""
SURE = 0.95
"""Confidence at which the human counts as saving something beside its calls."""
MOST_CREDIT = 0.9
"""Share of a call that noise may take off a single round, so that logarithms exist."""


@dataclass(frozen=True)
class Charge:
    """Nanoseconds per call, and the upper end of their interval; both 0 or more."""

    ns: float
    high: float


def estimator(samples: Sequence[Sample]) -> Estimator:
    """How charged rounds are summed up: by signed ranks where arms shared a core at the same moment, and their noise is
    small and even; else by the median, since a core that changes its speed between two calls makes wild rounds."""
    return signed_rank_interval if any(sample.company_ns for sample in samples) else median_interval


def charges(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """Signed charge of each counted round that the arm has in common with its measure; base's own are 0.

    The measure is base, or, for a patch, the human where that surely uses less beside its calls: setup calls what was
    changed, then, and what the change saves there is no purse for others to spend on the call's work.
    """
    if arm == "base":
        return dict.fromkeys(counted(samples, "base"), 0.0)
    return _beyond(samples, arm, "human" if arm != "human" and _human_saves(samples) else "base")


def _human_saves(samples: Sequence[Sample]) -> bool:
    found = np.array(list(_beyond(samples, "human", "base").values()))
    return len(found) > 1 and estimator(samples)(found, SURE)[2] < 0


def _beyond(samples: Sequence[Sample], arm: str, measure: str) -> dict[int, float]:
    load = _load_shares(samples, arm, measure)
    return {
        ours.round: _beside(ours, theirs) + load.get(ours.process, 0.0)
        for ours, theirs in zip(*common(samples, arm, measure), strict=True)
    }


def charge_of(samples: Sequence[Sample], arm: str, confidence: float) -> Charge | None:
    """What the arm is charged per call, by all rounds; None below two of them."""
    found = np.array(list(charges(samples, arm).values()))
    if len(found) < 2:
        return None
    centre, _, high = estimator(samples)(found, confidence)
    return Charge(max(0.0, centre), max(0.0, high))


def charged_times(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """Time per call with the charge of its round, by round."""
    times, charge = call_times(samples, arm), charges(samples, arm)
    return {n: max((1 - MOST_CREDIT) * times[n], times[n] + charge[n]) for n in times if n in charge}


def due_times(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """Time per call of an arm that others are compared with, by round: with its charge over all rounds, if there is
    one."""
    times, charge = call_times(samples, arm), charges(samples, arm)
    charge_ns = max(0.0, float(np.median(list(charge.values())))) if charge else 0.0
    return {number: time_ns + charge_ns for number, time_ns in times.items()}


def process_sd(samples: Sequence[Sample], arm: str) -> float:
    """Before any data: how much the arm's charged times differ between processes, as a share of them."""
    ours, base = common(samples, arm)
    charged = list(charged_times(samples, arm).values())
    if not ours or arm == "base" or not charged:
        return PROCESS_SD
    beside = float(np.median([b.setup_ns / b.setups for b in base]))
    return float(np.hypot(PROCESS_SD, OUTSIDE_SD * beside / max(1.0, float(np.median(charged)))))


def _beside(ours: Sample, theirs: Sample) -> float:
    """What an arm used beside the calls of a round beyond its measure. The fixed part of each request is in both alike,
    so totals are compared before they are shared among workloads, results, or calls. Only freeing results grows with
    the calls of each arm: it is compared per call, less what an empty request of the measure takes."""
    travelled = ours.result_ns > 0 and theirs.result_ns > 0
    shown = ours.digest_ns - theirs.digest_ns * ours.hashed / theirs.hashed
    shown += (ours.result_ns - theirs.result_ns) * travelled * ours.hashed
    setup = ours.setup_ns - theirs.setup_ns * ours.setups / theirs.setups
    idle = ours.idle_ns + ours.ping_ns - theirs.idle_ns - theirs.ping_ns
    freed = (ours.release_ns - theirs.ping_ns) / ours.number - (theirs.release_ns - theirs.ping_ns) / theirs.number
    return setup / ours.setups + shown / ours.hashed + idle / ours.number + freed


def _load_shares(samples: Sequence[Sample], arm: str, measure: str) -> dict[int, float]:
    """What loading took beyond the measure's, per call, by process."""
    mine, theirs = _loads(samples, arm), _loads(samples, measure)
    times = list(call_times(samples, "base").values())
    if not times:
        return {}
    calls = max(1.0, PROCESS_S * 1e9 / float(np.median(times)))
    warmed = {s.process for s in samples if s.arm == "base" and s.warmup}
    return {p: (mine[p] - theirs[p]) / (calls if p in warmed else 1.0) for p in mine if p in theirs}


def _loads(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """CPU time of loading, and of what the warm-up used beyond usual rounds, by process."""
    usual = _Usual.of(list(counted(samples, arm).values()))
    found: dict[int, float] = {}
    excess: dict[int, float] = defaultdict(float)
    for sample in samples:
        if sample.arm != arm:
            continue
        found.setdefault(sample.process, float(sample.load_ns))
        if sample.warmup and usual is not None:
            excess[sample.process] += usual.excess(sample)
    return {process: load + excess[process] for process, load in found.items()}


@dataclass(frozen=True)
class _Usual:
    """Medians of an arm's rounds: CPU time of a call, of a setup, of a hash, between calls, of freeing a result."""

    call: float
    setup: float
    digest: float
    idle: float
    freed: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> _Usual | None:
        """None without samples."""
        if not samples:
            return None
        rows = [
            (s.cpu_ns / s.number, s.setup_ns / s.setups, s.digest_ns / s.hashed, s.idle_ns, s.release_ns / s.number)
            for s in samples
        ]
        return cls(*np.median(np.array(rows, dtype=np.float64), axis=0))

    def excess(self, sample: Sample) -> float:
        """What a round used beyond a usual one of its size; the result that travelled is left out."""
        used = sample.cpu_ns + sample.setup_ns + sample.digest_ns + sample.idle_ns + sample.release_ns
        expected = (self.call + self.freed) * sample.number + self.setup * sample.setups
        return float(used - expected - self.digest * sample.hashed - self.idle)
