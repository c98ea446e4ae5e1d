"""One round: every arm once on the same workload, then every result against base's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tasks.sandbox.probe.session import Digests, SetupInfo, Spent, Timed
from tasks.timing.models import Sample, SessionState, Status
from tasks.timing.patience import beyond, charge
from tasks.timing.processes import ProcessSet, at_once
from tasks.timing.result_check import ResultChecker
from tasks.timing.round_plan import RoundPlan

BUSY_FLOOR_NS = 250_000_000
BUSY_SHARE = 4
"""An arm is out that uses this much CPU time between its calls of one round, and this many times base's call on top."""
RESULT_TIMES, RESULT_BYTES = 4, 16 * 1024 * 1024
"""A result of an arm may be so many times as large as base's, and RESULT_BYTES in any case: it passes the driver."""


@dataclass
class Reference:
    """Base's results of one round: their hashes, and a result itself once somebody needs it."""

    digests: Digests
    processes: ProcessSet
    indexes: Sequence[int]
    """Which of base's calls they are of."""
    blobs: dict[int, bytes] = field(default_factory=dict)

    def fetch(self, position: int = 0) -> bytes | None:
        """One of the results; None if base fails to give it."""
        if position not in self.blobs:
            found = self.processes.ask("base", "result", self.indexes[position])
            if not isinstance(found, bytes):
                return None
            self.blobs[position] = found
        return self.blobs[position]


def play(
    processes: ProcessSet,
    state: SessionState,
    plan: RoundPlan,
    checker: ResultChecker,
    device: str = "cpu",
    reference: Reference | None = None,
) -> Reference | None:
    """Play one round: all setups at once, then all timed calls, then all hashes of results at once, then comparisons.

    Timed calls are one after the other in the plan's order, or at once, if the plan says so.

    Adds samples to `state`. An arm that fails or differs from base drops out; its sample of this round stays if it
    was timed. Returns base's result; `reference` is that result of an earlier round where base does not run in this
    one.
    """
    processes.taken_s.clear()
    processes.rest_ns.clear()
    before = {name: processes.probes[name].spent() for name in plan.order}
    played = _Played(processes, plan, device)
    if plan.apart:
        for name in plan.order:
            with processes.alone(name):
                played.all_of(name)
    else:
        played.all_at_once()
    infos, timings, digests = played.infos, played.timings, played.digests
    if isinstance(of_base := digests.get("base"), Digests):
        reference = Reference(of_base, processes, plan.batch("base").compared)
    if reference is None:
        return None
    found: dict[str, tuple[Timed, _Checked]] = {}
    for name in plan.order:
        timed, shown = timings.get(name), digests.get(name)
        if isinstance(timed, Timed) and isinstance(infos[name], SetupInfo):
            checked = _checked(processes, name, plan, state, shown, reference, checker)
            if state.alive(name):
                found[name] = timed, checked
                state.drop(name, checked.status, checked.reason)
    if plan.keeps:
        reference.fetch()
    played.end([name for name in found if state.alive(name)])
    spent = {name: processes.probes[name].spent(since=before[name]) for name in found}
    used = {name: timed.cpu_ns for name, timed in timings.items() if isinstance(timed, Timed)}
    for position, name in enumerate(plan.order):
        if name in found:
            # The core is shared alike: while a call runs, another one uses no more of it, and no more than it needs.
            others = (min(cpu_ns, used[name]) for other, cpu_ns in used.items() if other != name)
            company_ns = sum(others) if plan.one_core else 0
            load_ns = processes.load_ns.get(name, 0)
            rest_ns = processes.rest_ns.get(name, 0)
            used_there = spent[name].model_copy(update={"idle_ns": spent[name].idle_ns + rest_ns})
            sample = _sample(name, position, plan, *found[name], used_there, load_ns, played.started[name], company_ns)
            state.samples.append(sample)
    if "base" in found:
        call = found["base"][0]
        _book(processes, state, plan, checker, played)
        _drop_busy(state, {name: of_round.idle_ns for name, of_round in spent.items()}, call.wall_ns - call.wait_ns)
    return reference


class _Played:
    """What the arms of a round answered, and how long each took."""

    def __init__(self, processes: ProcessSet, plan: RoundPlan, device: str) -> None:
        self._processes, self._plan, self._device = processes, plan, device
        self.infos: dict[str, object] = {}
        self.timings: dict[str, object] = {}
        self.digests: dict[str, object] = {}
        self.started: dict[str, datetime] = {}
        self.run_s: dict[str, float] = {}
        self.shared_s: list[dict[str, float]] = []
        """Of what was done side by side, beside the calls."""

    def all_at_once(self) -> None:
        """Setups at the same moment; then calls, at the same moment or in turn; then hashes at the same moment."""
        setup_s, self.infos = at_once(self._plan.order, self._setup)
        ready = [name for name in self._plan.order if self.infos[name] is not None]
        if self._plan.together:
            at_once(ready, self._run)
        else:
            for name in ready:
                self._run(name)
        digest_s, self.digests = at_once(ready, self._hash)
        self.shared_s = [setup_s, digest_s]

    def all_of(self, name: str) -> None:
        """One arm's part of the round."""
        self.infos[name] = self._setup(name)
        if self.infos[name] is not None:
            self._run(name)
            self.digests[name] = self._hash(name)

    def end(self, names: Sequence[str]) -> None:
        """Let go of all results, after an empty request that tells what a request costs."""
        if self._plan.apart:
            for name in names:
                with self._processes.alone(name):
                    self._let_go(name)
        else:
            at_once(names, self._let_go)

    def _let_go(self, name: str) -> None:
        self._processes.ask(name, "ping")
        self._processes.ask(name, "release")

    def _setup(self, name: str) -> object:
        return self._processes.ask(name, "setup", self._plan.seed, self._plan.setups, self._plan.before)

    def _run(self, name: str) -> None:
        batch = self._plan.batch(name)
        self.started[name], start = datetime.now(UTC), time.monotonic()
        self.timings[name] = self._processes.ask(name, "run", batch.number, self._device, batch.start)
        self.run_s[name] = time.monotonic() - start

    def _hash(self, name: str) -> object:
        return self._processes.ask(name, "digests", self._plan.batch(name).compared, self._plan.inputs)


def _book(processes: ProcessSet, state: SessionState, plan: RoundPlan, checker: ResultChecker, played: _Played) -> None:
    """Book what arms took of the session beyond base, side by side or in turn."""
    budget_s = processes.budget_s
    # Of the arms' calls, those with more workloads than base may take as many times as long.
    alike_s = {name: seconds / plan.batch(name).number * plan.number for name, seconds in played.run_s.items()}
    charge(state, beyond(alike_s), budget_s, at_once=plan.together)
    for seconds in played.shared_s:
        charge(state, beyond(seconds), budget_s, at_once=True)
    apart = (played.run_s, *played.shared_s)
    rest_s = {name: seconds - sum(part.get(name, 0.0) for part in apart) for name, seconds in processes.taken_s.items()}
    charge(state, beyond(rest_s, rest_s["base"] + (checker.own_s or 0.0)), budget_s)


def _drop_busy(state: SessionState, idle_ns: dict[str, int], wall_ns: int) -> None:
    """Take out who keeps the core busy while others are timed on it; less of it is flagged (`clocks.clock_flags`).

    `idle_ns`: CPU time between calls, by arm; `wall_ns`: base's call without its waits.
    """
    limit = idle_ns.get("base", 0) + BUSY_FLOOR_NS + BUSY_SHARE * wall_ns
    for name, used in idle_ns.items():
        if name != "base" and used > limit:
            state.drop(
                name, "error", f"keeps the core busy between its calls: {used / 1e9:.2f} s of CPU time in a round"
            )


@dataclass(frozen=True)
class _Checked:
    """What a comparison with base's result said."""

    status: Status
    reason: str = ""
    flags: tuple[str, ...] = ()


def _checked(
    processes: ProcessSet,
    name: str,
    plan: RoundPlan,
    state: SessionState,
    shown: object,
    reference: Reference,
    checker: ResultChecker,
) -> _Checked:
    """Equal digests settle it; otherwise one of the results that differ travels to the checker, with base's.

    The caller's input must be left as base leaves it, where base's can be read. `other_result_type`: base's result is
    plain data and the arm's is something that only the script can store, or the other way round. That may be honest, or
    an object that does its work while it is stored.
    """
    if name == "base":
        return _Checked("ok")
    if not isinstance(shown, Digests):
        return _Checked("error", "no result")
    if plan.before:
        state.inputs_alike &= shown.begins_like(reference.digests)
    fault = shown.fault(reference.digests, state.inputs_alike)
    if fault:
        return _Checked("incorrect", fault)
    differing = shown.differing(reference.digests)
    if not differing:
        return _Checked("ok")
    return _by_script(processes, name, plan.batch(name).compared, secrets.choice(differing), reference, checker)


def _by_script(
    processes: ProcessSet, name: str, indexes: Sequence[int], place: int, reference: Reference, checker: ResultChecker
) -> _Checked:
    """Have one result compared with base's by the script."""
    expected = reference.fetch(place)
    if expected is None:
        return _Checked("error", "no result")
    candidate = processes.ask(name, "result", indexes[place], max(RESULT_BYTES, RESULT_TIMES * len(expected)))
    if not isinstance(candidate, bytes):
        return _Checked("error", "no result")
    with processes.counted(name):
        found = checker.check(expected, candidate)
    return _Checked(*found, ("other_result_type",) * (candidate[:1] != expected[:1]))


def _sample(
    name: str,
    position: int,
    plan: RoundPlan,
    timed: Timed,
    checked: _Checked,
    spent: Spent,
    load_ns: int,
    started_at: datetime,
    company_ns: int,
) -> Sample:
    batch = plan.batch(name)
    return Sample(
        **{**timed.model_dump(), **spent.model_dump(), "load_ns": load_ns, "flags": (*timed.flags, *checked.flags)},
        arm=name,
        process=plan.process,
        round=plan.round,
        order=position,
        seed=plan.seed + batch.start,
        number=batch.number,
        setups=plan.setups,
        hashed=len(batch.compared),
        cores=plan.cores,
        company_ns=company_ns,
        correct=checked.status == "ok",
        warmup=plan.warmup,
        started_at=started_at,
    )
