"""The processes behind a session: one per arm, started together and asked in turn; an arm that fails is excluded."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from configs.models import TimingConfig
from tasks.sandbox.metering.worker import Whole, WorkerGroup
from tasks.sandbox.models import Arm, Limits, Sandbox
from tasks.sandbox.probe.session import Dialect, ProbeError, ProbeSession
from tasks.timing.models import SessionState, Status
from tasks.timing.patience import beyond, charge, limit

T = TypeVar("T")


@dataclass(frozen=True)
class SessionContext:
    """What stays the same for a whole session."""

    sandbox: Sandbox
    work: Path
    arms: dict[str, Arm]
    """By name; `base` is among them."""
    script: str
    dialect: Dialect
    timing: TimingConfig
    limits: Limits
    worker: WorkerGroup | None = None
    """Where no sandbox is counted whole: the group of all, for rounds that have one arm at a time."""
    cores: tuple[int, ...] | None = None
    """All that the session has for itself: processes start on any of them, and run on those that they are given."""
    like: SessionState | None = None
    """Of an earlier session with these arms and others: its batches and ways are taken over, not found out again."""

    def probe(self, name: str, cpus: tuple[int, ...] | None, hash_seed: int, checker: bool = False) -> ProbeSession:
        """A process of one arm, not yet started."""
        return ProbeSession(
            self.sandbox,
            self.arms[name],
            self.work,
            cpus=cpus,
            starts_on=self.cores,
            limits=self.limits,
            hash_seed=hash_seed,
            timeout_s=self.timing.call_timeout_s,
            checker=checker,
        )


def at_once(names: Sequence[str], ask: Callable[[str], T]) -> tuple[dict[str, float], dict[str, T]]:
    """Ask all arms at the same moment: seconds that each took, and what each answered, by name."""

    def timed(name: str) -> tuple[float, T]:
        start = time.monotonic()
        answer = ask(name)
        return time.monotonic() - start, answer

    if len(names) < 2:
        found = [timed(name) for name in names]
    else:
        with ThreadPoolExecutor(len(names)) as pool:
            found = list(pool.map(timed, names))
    pairs = list(zip(names, found, strict=True))
    return {name: seconds for name, (seconds, _) in pairs}, {name: answer for name, (_, answer) in pairs}


def status_of(error: ProbeError) -> Status:
    """A probe's failure as the status of its arm."""
    return "timeout" if error.kind == "timeout" else "error"


class ProcessSet:
    """One process per arm, started together, each with the perf test loaded. An arm that cannot load drops out."""

    def __init__(
        self,
        context: SessionContext,
        state: SessionState,
        names: Sequence[str],
        cpus: Mapping[str, tuple[int, ...]] | None,
        hash_seed: int,
    ) -> None:
        """`cpus`: cores of each arm; None leaves the choice to the system."""
        self._state, self._timing = state, context.timing
        self._worker = context.worker
        self._stack = ExitStack()
        self.taken_s: dict[str, float] = defaultdict(float)
        """Wall time that was spent on each arm since this was last asked."""
        self.load_ns: dict[str, int] = {}
        """CPU time that loading the perf test used, by arm."""
        self.rest_ns: dict[str, int] = {}
        """CPU time of a round that nobody accounts for, while each arm was alone at work."""
        self.crossed: ProcessSet | None = None
        """The same arms on each other's cores, where a protocol swaps them; ends with this set."""
        self.probes: dict[str, ProbeSession] = {}
        with ExitStack() as stack:  # so that those already started end if one cannot be
            for name in names:
                self.probes[name] = stack.enter_context(context.probe(name, cpus[name] if cpus else None, hash_seed))
            for name in names:
                self.ask(name, "greet")  # all, before any code of an arm can keep the others from it
            self._load(context)
            self._stack = stack.pop_all()

    def _load(self, context: SessionContext) -> None:
        """All at the same moment, so that they meet the same core; in the first set base goes first.

        What it took says how long others may take.
        """
        names = list(self.probes)
        first = [name for name in names if name == "base" and self._state.base_load_s is None]
        for group in (first, [name for name in names if name not in first]):
            self._load_at_once(context, group)

    def _load_at_once(self, context: SessionContext, names: Sequence[str]) -> None:
        def load(name: str) -> object:
            timeout_s = limit(self._state.base_load_s, self._timing.call_timeout_s) if name != "base" else None
            return self.ask(name, "load", context.script, context.dialect, timeout_s)

        taken_s, answers = at_once(names, load)
        if answers.get("base") is not None:
            self._state.base_load_s = taken_s["base"]
        charge(self._state, beyond(taken_s, self._state.base_load_s), self._timing.budget_s, at_once=True)
        self.taken_s.clear()
        self.add_to_load()

    def add_to_load(self) -> None:
        """Count as loading what was used since this was last asked."""
        for name, probe in self.probes.items():
            if self._state.alive(name):
                spent = probe.spent()
                self.load_ns[name] = self.load_ns.get(name, 0) + spent.load_ns + spent.setup_ns + spent.idle_ns

    def __enter__(self) -> ProcessSet:
        return self

    def __exit__(self, *_: object) -> None:
        if self.crossed is not None:
            self._stack.push(self.crossed.__exit__)
        at_once(list(self.probes), lambda name: self.probes[name].close())  # each waits for its namespaces to go
        self._stack.close()

    @property
    def budget_s(self) -> float:
        """Of the session."""
        return self._timing.budget_s

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """While only this arm is at work: book for it what nobody accounts for."""
        before = self._whole()
        yield
        after = self._whole()
        rest_ns = self._worker.unaccounted_ns(before, after) if self._worker else None
        self.rest_ns[name] = self.rest_ns.get(name, 0) + (rest_ns or 0)

    def _whole(self) -> Whole | None:
        processes = (probe.process for probe in self.probes.values())
        return self._worker.read([one for one in processes if one is not None]) if self._worker else None

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Count the time of the block as spent on this arm."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.taken_s[name] += time.monotonic() - start

    def ask(self, name: str, method: str, *args: object) -> object:
        """Call a method of the arm's probe; None, and the arm excluded, if it fails."""
        if name not in self.probes or not self._state.alive(name):
            return None
        try:
            with self.counted(name):
                answer: object = getattr(self.probes[name], method)(*args)
        except ProbeError as error:
            self.probes[name].close()
            self._state.timed_out |= error.kind == "timeout" and method != "load"
            detail = error.traceback.strip().splitlines()
            reason = f"{method}: {error}" + (f" | {detail[-1]}" if error.kind == "died" and detail else "")
            if name == "base":
                self._state.base_failure = reason
            else:
                self._state.drop(name, status_of(error), reason)
            return None
        return answer if answer is not None else True
