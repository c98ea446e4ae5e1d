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
from tasks.sandbox.probing import CheckFailed, Dialect, ProbeError, ProbeSession, SetupInfo, Timed
from tasks.timing.models import Race, Sample, Status


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
    for position, name in enumerate(heat.order):
        timed, info = timings.get(name), infos[name]
        if not isinstance(timed, Timed) or not isinstance(info, SetupInfo):
            continue
        correct = True
        if name != "base":
            index = heat.batch(name)[2]
            digest = processes.ask(name, "result_digest", index)
            status, reason = _judge(processes, name, index, digest, reference, referee)
            if not race.alive(name):
                continue
            correct = status == "ok"
            if not correct:
                race.drop(name, status, reason)
        race.samples.append(_sample(name, position, heat, timed, info, correct, started[name]))
    return reference


def _judge(
    processes: ProcessSet, name: str, index: int, digest: object, reference: Reference, referee: Referee
) -> tuple[Status, str]:
    """Status of a candidate. Equal digests settle it; otherwise both results travel to the referee."""
    if digest == reference.digest:
        return "ok", ""
    candidate = processes.ask(name, "result", index) if digest is not None else None
    expected = reference.fetch()
    if not isinstance(candidate, bytes) or expected is None:
        return "error", "no result"
    return referee.judge(expected, candidate)


def _sample(
    name: str, position: int, heat: Heat, timed: Timed, info: SetupInfo, correct: bool, started_at: datetime
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
        setup_ns=info.wall_ns,
        correct=correct,
        warmup=heat.warmup,
        started_at=started_at,
        flags=tuple(timed.flags),
    )
