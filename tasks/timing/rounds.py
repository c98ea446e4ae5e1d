"""One round: every arm once on the same workload, then every result against base's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tasks.sandbox.probe.session import CheckFailed, ProbeError, ProbeSession, SetupInfo, Spent, Timed
from tasks.timing.models import Race, Sample, Status
from tasks.timing.patience import beyond, charge, limit
from tasks.timing.processes import ProcessSet, Track, status_of

BUSY_FLOOR_NS = 250_000_000
BUSY_SHARE = 4
"""An arm is out that uses this much CPU time between its calls of one round, and this many times base's call on top."""
RESULT_TIMES, RESULT_BYTES = 4, 16 * 1024 * 1024
"""A result of an arm may be so many times as large as base's, and RESULT_BYTES in any case: it passes the driver."""


@dataclass(frozen=True)
class Heat:
    """What one round is called with."""

    process: int
    round: int
    seed: int
    order: Sequence[str]
    number: int = 1
    """Calls of base, and of every arm that is not in `numbers`."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Larger batches of fast arms; base's calls are some of theirs, from `offset` on."""
    offset: int = 0
    result: int = 0
    """Which of base's results is compared; no arm knows it, nor `offset`, while it runs."""
    warmup: bool = False
    together: bool = False
    """Whether the arms are timed at the same moment instead of one after the other."""
    one_core: bool = False
    """Whether those that are timed at the same moment have one core between them."""

    def batch(self, name: str) -> tuple[int, int, int]:
        """(first seed, calls, index of the compared result) of an arm."""
        if name in self.numbers:
            return self.seed, self.numbers[name], self.offset + self.result
        return self.seed + self.offset, self.number, self.result


@dataclass
class Reference:
    """Base's result of one round: its hash, and the result itself once somebody needs it."""

    digest: str
    processes: ProcessSet
    index: int
    blob: bytes | None = None

    @classmethod
    def of(cls, processes: ProcessSet, index: int) -> Reference | None:
        """The result that base holds now; None if it cannot say."""
        digest = processes.ask("base", "result_digest", index)
        return cls(str(digest), processes, index) if digest is not None else None

    def fetch(self) -> bytes | None:
        """The result; None if base fails to give it."""
        if self.blob is None:
            found = self.processes.ask("base", "result", self.index)
            self.blob = found if isinstance(found, bytes) else None
        return self.blob


class Referee:
    """Compares results in a process of its own, with base's code. Bytes that equal the reference need no comparison."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._probe: ProbeSession | None = None
        self._baseline: tuple[bytes, Status, str] | None = None
        self.own_s: float | None = None
        """How long the comparison of a result of base's with itself took; None before there was one."""

    def __enter__(self) -> Referee:
        return self

    def __exit__(self, *_: object) -> None:
        if self._probe is not None:
            self._probe.close()

    def baseline(self, reference: bytes) -> tuple[Status, str]:
        """What the script says of base's result and itself; the first one tells how long a comparison takes."""
        if self._baseline is None or self._baseline[0] != reference:
            start = time.monotonic()
            self._baseline = (reference, *self._compare(reference, reference, None))
            self.own_s = self.own_s or time.monotonic() - start
        return self._baseline[1:]

    def judge(self, reference: bytes, candidate: bytes) -> tuple[Status, str]:
        """(`ok`, "") or how the candidate failed. One that breaks the process, or holds it up, costs only itself."""
        if candidate == reference:
            return "ok", ""
        if self.own_s is None:
            self.baseline(reference)
        return self._compare(reference, candidate, limit(self.own_s, self._track.timing.call_timeout_s))

    def _compare(self, reference: bytes, candidate: bytes, timeout_s: float | None) -> tuple[Status, str]:
        try:
            if self._probe is None:
                self._probe = self._track.probe("base", None, 0, checker=True).__enter__()
                self._probe.load(self._track.script, self._track.dialect)
            self._probe.check(reference, candidate, timeout_s)
        except CheckFailed as error:
            return "incorrect", str(error)
        except ProbeError as error:
            if self._probe is not None:
                self._probe.close()
            self._probe = None
            return status_of(error), f"check_equivalence: {error}"
        return "ok", ""


def play(
    processes: ProcessSet,
    race: Race,
    heat: Heat,
    referee: Referee,
    device: str = "cpu",
    reference: Reference | None = None,
) -> Reference | None:
    """Play one round: all setups, then all timed calls, then all comparisons, each in the heat's order.

    (Or all timed calls at once, if the heat says so.)

    Adds samples to the race. An arm that fails or differs from base drops out; its sample of this round stays if it was
    timed. Returns base's result; `reference` is that result of an earlier round where base does not run in this one.
    """
    infos: dict[str, object] = {}
    timings: dict[str, object] = {}
    started: dict[str, datetime] = {}
    run_s: dict[str, float] = {}
    processes.taken_s.clear()
    before = {name: processes.probes[name].spent() for name in heat.order}
    for name in heat.order:
        seed, number, _ = heat.batch(name)
        infos[name] = processes.ask(name, "setup", seed, number, False)

    def run(name: str) -> None:
        started[name], start = datetime.now(UTC), time.monotonic()
        timings[name] = processes.ask(name, "run", heat.batch(name)[1], device)
        run_s[name] = time.monotonic() - start

    ready = [name for name in heat.order if infos[name] is not None]
    if heat.together and len(ready) > 1:
        with ThreadPoolExecutor(len(ready)) as pool:
            list(pool.map(run, ready))
    else:
        for name in ready:
            run(name)
    if "base" in heat.order:
        reference = Reference.of(processes, heat.result)
    if reference is None:
        return None
    found: dict[str, tuple[Timed, _Judged]] = {}
    for name in heat.order:
        timed = timings.get(name)
        if isinstance(timed, Timed) and isinstance(infos[name], SetupInfo):
            judged = _judge(processes, name, heat.batch(name)[2], reference, referee)
            if race.alive(name):
                found[name] = timed, judged
                race.drop(name, judged.status, judged.reason)
    spent = {name: processes.probes[name].spent(since=before[name]) for name in found}
    used = {name: timed.cpu_ns for name, timed in timings.items() if isinstance(timed, Timed)}
    for position, name in enumerate(heat.order):
        if name in found:
            # The core is shared alike: while a call runs, another one uses no more of it, and no more than it needs.
            others = (min(cpu_ns, used[name]) for other, cpu_ns in used.items() if other != name)
            company_ns = sum(others) if heat.one_core else 0
            race.samples.append(_sample(name, position, heat, *found[name], spent[name], started[name], company_ns))
    if "base" in found:
        call = found["base"][0]
        _charge(processes, race, heat, referee, run_s)
        _drop_busy(race, {name: of_round.idle_ns for name, of_round in spent.items()}, call.wall_ns - call.wait_ns)
    return reference


def _charge(processes: ProcessSet, race: Race, heat: Heat, referee: Referee, run_s: dict[str, float]) -> None:
    """Book what arms took beyond base: of their calls, and of all that is done one after the other."""
    budget_s = processes.budget_s
    # Of the arms' calls, those with more workloads than base may take as many times as long.
    alike_s = {name: seconds / heat.batch(name)[1] * heat.number for name, seconds in run_s.items()}
    charge(race, beyond(alike_s), budget_s, at_once=heat.together)
    rest_s = {name: seconds - run_s.get(name, 0.0) for name, seconds in processes.taken_s.items()}
    charge(race, beyond(rest_s, rest_s["base"] + (referee.own_s or 0.0)), budget_s)


def _drop_busy(race: Race, idle_ns: dict[str, int], wall_ns: int) -> None:
    """Take out who keeps the core busy while others are timed on it; less of it is flagged (`clocks.clock_flags`).

    `idle_ns`: CPU time between calls, by arm; `wall_ns`: base's call without its waits.
    """
    limit = idle_ns.get("base", 0) + BUSY_FLOOR_NS + BUSY_SHARE * wall_ns
    for name, used in idle_ns.items():
        if name != "base" and used > limit:
            race.drop(
                name, "error", f"keeps the core busy between its calls: {used / 1e9:.2f} s of CPU time in a round"
            )


@dataclass(frozen=True)
class _Judged:
    """What a comparison with base's result said."""

    status: Status
    reason: str = ""
    flags: tuple[str, ...] = ()


def _judge(processes: ProcessSet, name: str, index: int, reference: Reference, referee: Referee) -> _Judged:
    """Equal digests settle it; otherwise both results travel to the referee.

    `other_result_type`: base's result is plain data and the arm's is something that only the script can store, or the
    other way round. That may be honest, or an object that does its work while it is stored.
    """
    if name == "base":
        return _Judged("ok")
    digest = processes.ask(name, "result_digest", index)
    if digest == reference.digest:
        return _Judged("ok")
    expected = reference.fetch() if digest is not None else None
    if expected is None:
        return _Judged("error", "no result")
    candidate = processes.ask(name, "result", index, max(RESULT_BYTES, RESULT_TIMES * len(expected)))
    if not isinstance(candidate, bytes):
        return _Judged("error", "no result")
    with processes.counted(name):
        found = referee.judge(expected, candidate)
    return _Judged(*found, ("other_result_type",) * (candidate[:1] != expected[:1]))


def _sample(
    name: str,
    position: int,
    heat: Heat,
    timed: Timed,
    judged: _Judged,
    spent: Spent,
    started_at: datetime,
    company_ns: int,
) -> Sample:
    seed, number, _ = heat.batch(name)
    return Sample(
        arm=name,
        process=heat.process,
        round=heat.round,
        order=position,
        seed=seed,
        number=number,
        wall_ns=timed.wall_ns,
        cpu_ns=timed.cpu_ns,
        gpu_ns=timed.gpu_ns,
        wait_ns=timed.wait_ns,
        outside_ns=timed.outside_ns,
        setup_ns=spent.setup_ns,
        digest_ns=spent.digest_ns,
        result_ns=spent.result_ns,
        idle_ns=spent.idle_ns,
        cpu_bound=timed.cpu_bound,
        company_ns=company_ns,
        correct=judged.status == "ok",
        warmup=heat.warmup,
        started_at=started_at,
        flags=(*timed.flags, *judged.flags),
    )
