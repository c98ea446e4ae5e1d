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
    """Signed charge of each counted round that the arm and base have in common; base's own are 0.

    Where the human's change makes setup faster, since setup calls what was changed, that is no purse for others: what
    it surely saves there is added to the charge of every patch.
    """
    if arm == "base":
        return dict.fromkeys(counted(samples, "base"), 0.0)
    purse = saved_by_human(samples) if arm != "human" else 0.0
    return {number: charge + purse for number, charge in _against_base(samples, arm).items()}


def saved_by_human(samples: Sequence[Sample]) -> float:
    """What the human's change surely saves beside the calls, per call: the near end of its interval, or 0."""
    found = np.array(list(_against_base(samples, "human").values()))
    return max(0.0, -estimator(samples)(found, SURE)[2]) if len(found) > 1 else 0.0


def _against_base(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    load = _load_shares(samples, arm)
    return {
        ours.round: _beside(ours, base) + load.get(ours.process, 0.0)
        for ours, base in zip(*common(samples, arm), strict=True)
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


def _beside(ours: Sample, base: Sample) -> float:
    """What the arm used beside the calls of a round beyond base. The fixed part of each request is in both alike, so
    totals are compared before they are shared among workloads, results, or calls. Only freeing results grows with the
    calls of each arm: it is compared per call, less what an empty request of base's takes."""
    travelled = ours.result_ns > 0 and base.result_ns > 0
    shown = ours.digest_ns - base.digest_ns * ours.hashed / base.hashed
    shown += (ours.result_ns - base.result_ns) * travelled * ours.hashed
    setup = ours.setup_ns - base.setup_ns * ours.setups / base.setups
    idle = ours.idle_ns + ours.ping_ns - base.idle_ns - base.ping_ns
    freed = (ours.release_ns - base.ping_ns) / ours.number - (base.release_ns - base.ping_ns) / base.number
    return setup / ours.setups + shown / ours.hashed + idle / ours.number + freed


def _load_shares(samples: Sequence[Sample], arm: str) -> dict[int, float]:
    """What loading took beyond base's, per call, by process."""
    mine, base = _loads(samples, arm), _loads(samples, "base")
    times = list(call_times(samples, "base").values())
    if not times:
        return {}
    calls = max(1.0, PROCESS_S * 1e9 / float(np.median(times)))
    warmed = {s.process for s in samples if s.arm == "base" and s.warmup}
    return {p: (mine[p] - base[p]) / (calls if p in warmed else 1.0) for p in mine if p in base}


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
