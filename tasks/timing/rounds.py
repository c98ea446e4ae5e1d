"""One round: every arm once on the same workload, then every result against base's. And the processes behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from configs.models import TimingConfig
from tasks.sandbox.models import Arm, Limits, Sandbox
from tasks.sandbox.probing import CheckFailed, Dialect, ProbeError, ProbeSession, SetupInfo, Spent, Timed
from tasks.timing.models import Race, Sample, Status

BUSY_FLOOR_NS = 250_000_000
BUSY_SHARE = 4
"""An arm is out that uses this much CPU time between its calls of one round, and this many times base's call on top."""


@dataclass(frozen=True)
class Track:
    """What stays the same for a whole session."""

    sandbox: Sandbox
    work: Path
    arms: dict[str, Arm]
    """By name; `base` is among them."""
    script: str
    dialect: Dialect
    timing: TimingConfig
    limits: Limits

    def probe(self, name: str, cpus: tuple[int, ...] | None, hash_seed: int, checker: bool = False) -> ProbeSession:
        """A process of one arm, not yet started."""
        return ProbeSession(
            self.sandbox,
            self.arms[name],
            self.work,
            cpus=cpus,
            limits=self.limits,
            hash_seed=hash_seed,
            timeout_s=self.timing.call_timeout_s,
            checker=checker,
        )


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


def status_of(error: ProbeError) -> Status:
    """A probe's failure as the status of its arm."""
    return "timeout" if error.kind == "timeout" else "error"


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

    def __enter__(self) -> Referee:
        return self

    def __exit__(self, *_: object) -> None:
        if self._probe is not None:
            self._probe.close()

    def judge(self, reference: bytes, candidate: bytes) -> tuple[Status, str]:
        """(`ok`, "") or how the candidate failed."""
        if candidate == reference:
            return "ok", ""
        return self.compare(reference, candidate)

    def compare(self, reference: bytes, candidate: bytes) -> tuple[Status, str]:
        """Like judge, but always asks the script. A candidate that breaks the process costs only that process."""
        try:
            if self._probe is None:
                self._probe = self._track.probe("base", None, 0, checker=True).__enter__()
                self._probe.load(self._track.script, self._track.dialect)
            self._probe.check(reference, candidate)
        except CheckFailed as error:
            return "incorrect", str(error)
        except ProbeError as error:
            if self._probe is not None:
                self._probe.close()
            self._probe = None
            return status_of(error), f"check_equivalence: {error}"
        return "ok", ""


class ProcessSet:
    """One process per arm, started together, each with the perf test loaded. An arm that cannot load drops out."""

    def __init__(
        self,
        track: Track,
        race: Race,
        names: Sequence[str],
        cpus: Mapping[str, tuple[int, ...]] | None,
        hash_seed: int,
    ) -> None:
        """`cpus`: cores of each arm; None leaves the choice to the system."""
        self._race = race
        self._stack = ExitStack()
        self.crossed: ProcessSet | None = None
        """The same arms on each other's cores, where a protocol swaps them; ends with this set."""
        self.probes: dict[str, ProbeSession] = {}
        with ExitStack() as stack:  # so that those already started end if one cannot be
            for name in names:
                self.probes[name] = stack.enter_context(track.probe(name, cpus[name] if cpus else None, hash_seed))
            for name in names:
                self.ask(name, "load", track.script, track.dialect)
            self._stack = stack.pop_all()

    def __enter__(self) -> ProcessSet:
        return self

    def __exit__(self, *_: object) -> None:
        if self.crossed is not None:
            self._stack.push(self.crossed.__exit__)
        self._stack.close()

    def ask(self, name: str, method: str, *args: object) -> object:
        """Call a method of the arm's probe; None, and the arm out of the race, if it fails."""
        if name not in self.probes or not self._race.alive(name):
            return None
        try:
            answer: object = getattr(self.probes[name], method)(*args)
        except ProbeError as error:
            self.probes[name].close()
            self._race.timed_out |= error.kind == "timeout"
            detail = error.traceback.strip().splitlines()
            reason = f"{method}: {error}" + (f" | {detail[-1]}" if error.kind == "died" and detail else "")
            if name == "base":
                self._race.base_failure = reason
            else:
                self._race.drop(name, status_of(error), reason)
            return None
        return answer if answer is not None else True


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
    before = {name: processes.probes[name].spent() for name in heat.order}
    for name in heat.order:
        seed, number, _ = heat.batch(name)
        infos[name] = processes.ask(name, "setup", seed, number, False)

    def run(name: str) -> None:
        started[name] = datetime.now(UTC)
        timings[name] = processes.ask(name, "run", heat.batch(name)[1], device)

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
            judged = (
                _Judged("ok") if name == "base" else _judge(processes, name, heat.batch(name)[2], reference, referee)
            )
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
        _drop_busy(race, {name: of_round.idle_ns for name, of_round in spent.items()}, call.wall_ns - call.wait_ns)
    return reference


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
    digest = processes.ask(name, "result_digest", index)
    if digest == reference.digest:
        return _Judged("ok")
    candidate = processes.ask(name, "result", index) if digest is not None else None
    expected = reference.fetch()
    if not isinstance(candidate, bytes) or expected is None:
        return _Judged("error", "no result")
    return _Judged(*referee.judge(expected, candidate), ("other_result_type",) * (candidate[:1] != expected[:1]))


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
