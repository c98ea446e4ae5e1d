"""The default protocol: every round calls every arm once, in random order, on one fresh seed.

So whatever disturbs the machine for longer than a call disturbs all arms alike. Rounds are spread over several sets of
processes (each with its own hash seed and core). The first round of a set is warm-up and is not counted. The data are
looked at after `min_rounds` and then after every growth by half; an arm whose questions are answered leaves.

Where it can be told what each used, the arms of a round share one core at the same moment (see `sharing`).

Two cases change the shape. Short calls are timed in batches of distinct workloads; an arm that is much faster than base
gets more of them, of which base runs one, and nobody knows which. A workload that is the same for every seed would
reward a patch for remembering results, so each of its rounds gets fresh processes; so do scripts of the gso dialect,
which are written for that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tasks.sandbox.probe.session import SetupInfo
from tasks.telling import says_nothing
from tasks.timing.alpha_spending import Looks
from tasks.timing.core_leases import pinning
from tasks.timing.models import Sample, SessionState
from tasks.timing.processes import ProcessSet, SessionContext, at_once
from tasks.timing.protocols.common import Needed, generator, in_order, new_state
from tasks.timing.protocols.core_sharing import may_share
from tasks.timing.protocols.planning import SHARED_S, SHORT_S, Costs, batches, first_block, plan, rounds_per_set
from tasks.timing.result_check import ResultChecker
from tasks.timing.round_plan import RoundPlan
from tasks.timing.rounds import Reference, play

INPUTS_SHARE = 0.25
"""Of the rounds after which workloads are compared, too. Hashing one may take longer than the call."""
INPUTS_MOST = 8
"""Workloads that are compared in such a round."""
HASH_S = 0.05
"""Seconds of a round that may go into hashing results of base."""


def interleaved(context: SessionContext, cores: tuple[int, ...], needed: Needed) -> SessionState:
    """Time until no arm is needed any more, or rounds or time are up.

    An arm that hogs the core makes others that share it time out: then all is done again, one after the other.
    """
    for shared in (True, False):
        state = new_state(context)
        deadline = time.monotonic() + context.timing.budget_s
        with ResultChecker(context) as checker:
            run_looks(Runner(context, state, cores, checker, deadline, shared), needed)
        if not (state.one_core and state.timed_out):
            break
    return state


def run_looks(runner: Runner, needed: Needed) -> None:
    """Play block after block of rounds, look at the data after each, and stop when nothing is open or time is up.

    A look that nothing follows, because rounds or time are up, gets all the error that is left.
    """
    timing, state = runner.context.timing, runner.state
    taken = Looks(timing.max_rounds, timing.confidence)
    blocks = runner.calibrate()
    for index, block in enumerate(blocks):
        for rounds in block:
            runner.play_set(rounds)
        final = index == len(blocks) - 1 or runner.out
        open_arms = needed(state, taken.at(runner.counted, final))
        runner.keep(open_arms)
        if not open_arms or final:
            return


class Runner:
    """Plays rounds in set after set of processes."""

    together = False
    """Whether the arms of a group are called at the same moment, each on its own core."""

    def __init__(
        self,
        context: SessionContext,
        state: SessionState,
        cores: tuple[int, ...],
        checker: ResultChecker,
        deadline: float,
        sharing: bool = False,
    ) -> None:
        """`sharing`: the arms of a group may be called at the same moment on one core, if that can be told apart."""
        self.context, self.state, self.cores, self.checker = context, state, cores, checker
        self.rng = generator(context)
        self.counted = 0
        """Rounds so far that are not warm-up."""
        self._deadline = deadline
        self._sharing = sharing
        self._names = in_order(context)
        self._sets = self._played = 0
        self._rounds = 0
        """Numbers given to groups so far; where a round is one group, as many as rounds."""
        self._start_s = 0.0
        self._first: ProcessSet | None = None

    @property
    def _known_alike(self) -> bool:
        """Whether a session before this one has found that setups make the same workloads for all arms."""
        return self.context.like is not None and self.context.like.inputs_alike

    @property
    def out(self) -> bool:
        """Whether no further round will be played: base failed, nobody is left, or the time is up."""
        alive = [name for name in self._names if name != "base" and self.state.alive(name)]
        return not alive or (self._played > 1 and self._left_s() < 0)

    def calibrate(self) -> list[list[int]]:
        """Play the first warm-up, choose the batches, and plan the session by how long a round takes.

        Leaves the first set of processes running for the first block, unless rounds need fresh ones.
        """
        timing, state = self.context.timing, self.state
        processes = self._start_set()
        try:
            like = self.context.like
            if like is not None:
                state.fresh, state.number, state.numbers = like.fresh, like.number, like.numbers
            else:
                state.fresh = self.context.dialect == "gso" or self._same_for_all_seeds(processes)
            start = self._clock()
            reference = self.play(processes, warmup=True)
            round_s = self._clock() - start
            if like is not None:
                state.compared = like.compared
            elif reference is not None and (result := reference.fetch()) is not None:
                state.compared = not says_nothing(result, self.context.script, state.fresh)
                status, reason = self.checker.baseline(result)
                if status != "ok":
                    state.base_failure = f"check_equivalence rejects base's own result: {reason}"
            state.one_core = self._shares(state.samples)
            if like is not None:
                state.one_core = like.one_core and self._sharing
            elif not state.fresh and not self.out:
                round_s = self._choose_batches(processes, round_s)
        except BaseException:
            processes.__exit__(None)
            raise
        if state.fresh:
            processes.__exit__(None)
            return [[1] * sum(block) for block in plan(timing.min_rounds, timing.max_rounds, 1)]
        self._first = processes
        costs = Costs(self._start_s + round_s, round_s)
        rounds, sets = first_block(timing.min_rounds, timing.processes, self._left_s(), costs)
        return plan(rounds, timing.max_rounds, sets, rounds_per_set(costs))

    def play_set(self, rounds: int) -> None:
        """Play that many counted rounds in one set of processes; stops early when time is up or base has failed."""
        if self.out:
            return
        processes, self._first = self._first or self._start_set(), None
        with processes:
            if self._sets > 1 and not self.state.fresh:
                self.play(processes, warmup=True)
            for _ in range(rounds):
                if not self.out:
                    self.play(processes)

    def keep(self, open_arms: set[str]) -> None:
        """Go on with base, human if some patch is still compared with it, and the arms that are not settled."""
        others = open_arms - {"base", "human"}
        wanted = open_arms | {"base"} | ({"human"} if others else set())
        self._names = [name for name in self._names if name in wanted]

    def _start_set(self) -> ProcessSet:
        names = [name for name in self._names if self.state.alive(name)]
        start = self._clock()
        processes = self._start(names, self._hash_seed())
        self._start_s = self._clock() - start
        self._sets += 1
        return processes

    def _start(self, names: Sequence[str], hash_seed: int) -> ProcessSet:
        """All arms on the same core; the next set gets the next core."""
        cpus = pinning(self.cores, self._sets, self.context.timing.cores)
        return ProcessSet(self.context, self.state, names, dict.fromkeys(names, cpus), hash_seed)

    def _groups(self, processes: ProcessSet) -> Iterator[tuple[ProcessSet, list[str]]]:
        """What is called together in one round, in order: here all arms, in random order."""
        yield processes, self._shuffled([name for name in processes.probes if self.state.alive(name)])

    def play(self, processes: ProcessSet, warmup: bool = False) -> Reference | None:
        """One round of all arms that are not excluded."""
        state = self.state
        reference = None
        for used, order in self._groups(processes):
            spare = max([state.numbers.get(name, state.number) for name in order], default=state.number) - state.number
            round_plan = RoundPlan(
                process=self._sets - 1,
                round=self._rounds,
                seed=self._seed(),
                order=order,
                number=state.number,
                numbers=state.numbers,
                offset=int(self.rng.integers(spare + 1)),
                compared=self._compared(state.number),
                keeps=self._played == 0 and self.context.like is None,
                before=self._played == 0 and not self._known_alike,
                inputs=INPUTS_MOST if warmup or self.rng.random() < INPUTS_SHARE else 0,
                warmup=warmup,
                apart=self.context.worker is not None,
                together=self.together or (state.one_core and not warmup),
                one_core=state.one_core and not warmup,
                cores=self.context.timing.cores,
            )
            self._rounds += 1
            reference = play(used, state, round_plan, self.checker, self.context.timing.device)
        self._played += 1
        self.counted += not warmup
        return reference

    def _compared(self, number: int) -> list[int]:
        """Which of so many results are compared: as many as can be hashed in HASH_S, drawn anew for each round.

        A result that is not asked for need not have been computed, so what hashing takes beyond base's is charged to
        every call in full.
        """
        latest = [sample for sample in self.state.samples if sample.arm == "base"][-1:]
        each_s = max([sample.digest_ns / sample.hashed / 1e9 for sample in latest], default=HASH_S)
        count = min(number, max(1, int(HASH_S / max(each_s, 1e-6))))
        return [int(index) for index in self.rng.permutation(number)[:count]]

    def _clock(self) -> float:
        """Seconds of a clock that stands still while an arm takes time of its own (see `patience`)."""
        return time.monotonic() - self.state.extra_s

    def _left_s(self) -> float:
        """Seconds of the budget that are left."""
        return self._deadline - self._clock()

    def _seed(self) -> int:
        return int(self.rng.integers(2**31))

    def _hash_seed(self) -> int:
        return int(self.rng.integers(1, 2**32 - 1))

    def _shuffled(self, names: list[str]) -> list[str]:
        return [names[index] for index in self.rng.permutation(len(names))]

    def _same_for_all_seeds(self, processes: ProcessSet) -> bool:
        """Whether setup builds the same workload for two seeds; False where its state cannot be read.

        All arms do it, though only base is looked at: what was set up before shapes a process's memory, and so what
        later setups take (5 % with numpy arrays). It belongs to loading.
        """
        seeds = (self._seed(), self._seed())

        def setups(name: str) -> list[object]:
            return [processes.ask(name, "setup", seed) for seed in seeds]

        _, infos = at_once(list(processes.probes), setups)
        found = infos.get("base", [None, None])
        processes.add_to_load()
        one, other = (info.digest if isinstance(info, SetupInfo) else None for info in found)
        return one is not None and one == other

    def _shares(self, samples: Sequence[Sample]) -> bool:
        return self._sharing and self.context.worker is None and may_share(samples, self.context.timing)

    def _choose_batches(self, processes: ProcessSet, round_s: float) -> float:
        """Set the session's batches if some arm is short, and whether arms share; seconds that a round will take.

        Both by a second warm-up where they matter: the first one's calls met cold caches, and may have slept for it.
        """
        short_s = SHARED_S if self.state.one_core else SHORT_S
        short = any(sample.wall_ns - sample.wait_ns < short_s * 1e9 for sample in self.state.samples)
        if not short and (self.state.one_core or not self._sharing):
            return round_s
        first, start = len(self.state.samples), self._clock()
        self.play(processes, warmup=True)
        round_s = self._clock() - start
        latest = {sample.arm: sample for sample in self.state.samples[first:]}
        self.state.one_core = self._shares(list(latest.values()))
        if "base" not in latest or len(latest) < 2:
            return round_s
        self.state.number, self.state.numbers = batches(
            {name: max(1, sample.wall_ns - sample.wait_ns) / 1e9 for name, sample in latest.items()},
            {name: sample.setup_ns / 1e9 for name, sample in latest.items()},
            self.state.one_core,
        )
        further = {name: self.state.numbers.get(name, self.state.number) - 1 for name in latest}
        return round_s + sum(more * (latest[n].wall_ns + latest[n].setup_ns) / 1e9 for n, more in further.items())
