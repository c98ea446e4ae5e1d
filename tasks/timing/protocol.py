"""The protocols: in which processes, in what order and how often arms are timed.

`interleaved` is the default. Every round calls every arm once, in random order, on one fresh seed, so that whatever
disturbs the machine for longer than a call disturbs all arms alike. Rounds are spread over several sets of processes
(each with its own hash seed and core). The first round of a set is warm-up and is not counted. Data are looked at after
`min_rounds` and then after every growth by half; an arm whose questions are answered leaves.

Two cases change the shape. Calls shorter than SHORT_S are timed in batches of distinct workloads. A workload that is
the same for every seed would reward a patch for remembering results, so each of its rounds gets fresh processes; so do
scripts of the gso dialect, which are written for that.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tasks.sandbox.probing import SetupInfo, Timed
from tasks.timing.leasing import pinning
from tasks.timing.models import ArmState, Race
from tasks.timing.rounds import Heat, ProcessSet, Referee, Reference, Track, play
from tasks.timing.stats import level_per_look, looks

SHORT_S = 0.005
"""Experiments shorter than this are timed in batches."""
BATCH_S = 0.02
"""Length of a batch on base."""
MAX_BATCH = 200
"""Calls of a batch at most."""
BATCH_SETUP_S = 0.1
"""Time that setting up one batch may take on base."""
SEQUENTIAL_RUNS = 5
"""Fresh processes per arm of GSO's protocol."""
SET_ROUNDS = 6
"""Rounds that one set of processes serves at most after the first look."""
FEWEST_ROUNDS = 3
"""Rounds that are worth a look if the calls are too long for `min_rounds`."""

Needed = Callable[[Race, float], set[str]]
"""(race, confidence of this look) -> arms whose questions are still open."""


def plan(first: int, last: int, sets: int) -> list[list[int]]:
    """Rounds per set of processes between looks: the first block over `sets` sets, later ones over new sets.

    `plan(8, 27, 3)` is `[[3, 3, 2], [4], [6], [5, 4]]`: looks after 8, 12, 18 and 27 rounds.
    """
    marks = looks(first, last)
    later = [after - before for before, after in pairwise(marks)]
    return [_spread(marks[0], min(sets, marks[0])), *(_spread(rounds, -(-rounds // SET_ROUNDS)) for rounds in later)]


def _spread(rounds: int, sets: int) -> list[int]:
    return [rounds // sets + (index < rounds % sets) for index in range(sets)]


def interleaved(track: Track, cores: tuple[int, ...], needed: Needed) -> Race:
    """Time until no arm is needed any more, or rounds or time are up."""
    timing = track.timing
    race = Race(states=_states(track))
    rng = _generator(track)
    deadline = time.monotonic() + timing.budget_s
    with Referee(track) as referee:
        runner = _Runner(track, race, rng, cores, referee, deadline)
        blocks = runner.calibrate()
        level = level_per_look(timing.confidence, len(blocks))
        for block in blocks:
            for rounds in block:
                runner.play_set(rounds)
            open_arms = needed(race, level)
            runner.keep(open_arms)
            if not open_arms or race.base_failure or time.monotonic() > deadline:
                break
    return race


def sequential(track: Track, cores: tuple[int, ...], needed: Needed) -> Race:
    """GSO's protocol: SEQUENTIAL_RUNS fresh processes of one arm, then of the next; no pinning, no warm-up."""
    race = Race(states=_states(track), fresh=True)
    rng = _generator(track)
    seeds = [int(seed) for seed in rng.integers(2**31, size=SEQUENTIAL_RUNS)]
    references: list[Reference | None] = [None] * SEQUENTIAL_RUNS
    with Referee(track) as referee:
        for name in _in_order(track):
            for run, seed in enumerate(seeds):
                if not race.alive(name):
                    break
                heat = Heat(process=run, round=run, seed=seed, order=[name])
                with ProcessSet(track, race, [name], None, run) as processes:
                    found = play(processes, race, heat, referee, track.timing.device, references[run])
                    if found is not None:
                        found.fetch()  # while base's process lives
                    references[run] = found
    needed(race, track.timing.confidence)
    return race


PROTOCOLS: dict[str, Callable[[Track, tuple[int, ...], Needed], Race]] = {
    "interleaved": interleaved,
    "sequential": sequential,
}


class _Runner:
    """Plays rounds of the interleaved protocol in set after set of processes."""

    def __init__(
        self,
        track: Track,
        race: Race,
        rng: np.random.Generator,
        cores: tuple[int, ...],
        referee: Referee,
        deadline: float,
    ) -> None:
        self._track, self._race, self._rng, self._cores = track, race, rng, cores
        self._referee, self._deadline = referee, deadline
        self._names = _in_order(track)
        self._sets = self._rounds = 0
        self._first: ProcessSet | None = None

    def calibrate(self) -> list[list[int]]:
        """Play the first warm-up, choose the batch, and plan the session by how long a round took.

        Leaves the first set of processes running for the first block, unless rounds need fresh ones.
        """
        timing, race = self._track.timing, self._race
        processes = self._start_set()
        try:
            race.fresh = self._track.dialect == "gso" or self._same_for_all_seeds(processes)
            start = time.monotonic()
            reference = self._play(processes, warmup=True)
            round_s = time.monotonic() - start
            result = reference.fetch() if reference else None
            if result is not None:
                status, reason = self._referee.compare(result, result)
                if status != "ok":
                    race.base_failure = f"check_equivalence rejects base's own result: {reason}"
            if not race.fresh and race.alive("base"):
                race.number = self._batch(processes)
        except BaseException:
            processes.__exit__(None)
            raise
        if race.fresh:
            processes.__exit__(None)
            return [[1] * sum(block) for block in plan(timing.min_rounds, timing.max_rounds, 1)]
        self._first = processes
        affordable = int((self._deadline - time.monotonic()) / max(round_s, 1e-6))
        rounds = max(FEWEST_ROUNDS, min(timing.min_rounds, affordable - timing.processes))
        return plan(rounds, timing.max_rounds, max(1, min(timing.processes, rounds // 2)))

    def play_set(self, rounds: int) -> None:
        """Play that many counted rounds in one set of processes; stops early when time is up or base has failed."""
        if self._out():
            return
        processes, self._first = self._first or self._start_set(), None
        with processes:
            if self._sets > 1 and not self._race.fresh:
                self._play(processes, warmup=True)
            for _ in range(rounds):
                if not self._out():
                    self._play(processes)

    def keep(self, open_arms: set[str]) -> None:
        """Go on with base, human if some patch is still compared with it, and the arms that are not settled."""
        others = open_arms - {"base", "human"}
        wanted = open_arms | {"base"} | ({"human"} if others else set())
        self._names = [name for name in self._names if name in wanted]

    def _out(self) -> bool:
        alive = [name for name in self._names if name != "base" and self._race.alive(name)]
        return not alive or (self._rounds > 1 and time.monotonic() > self._deadline)

    def _start_set(self) -> ProcessSet:
        cpus = pinning(self._cores, self._sets, self._track.timing.cores)
        hash_seed = int(self._rng.integers(1, 2**32 - 1))
        names = [name for name in self._names if self._race.alive(name)]
        self._sets += 1
        return ProcessSet(self._track, self._race, names, cpus, hash_seed)

    def _play(self, processes: ProcessSet, warmup: bool = False) -> Reference | None:
        number = self._race.number
        names = [name for name in processes.probes if self._race.alive(name)]
        heat = Heat(
            process=self._sets - 1,
            round=self._rounds,
            seed=self._seed(),
            order=[names[index] for index in self._rng.permutation(len(names))],
            number=number,
            result=int(self._rng.integers(number)),
            warmup=warmup,
        )
        self._rounds += 1
        return play(processes, self._race, heat, self._referee, self._track.timing.device)

    def _seed(self) -> int:
        return int(self._rng.integers(2**31))

    def _same_for_all_seeds(self, processes: ProcessSet) -> bool:
        """Whether setup builds the same workload for two seeds; False where its state cannot be read."""
        found = [processes.ask("base", "setup", self._seed()) for _ in range(2)]
        one, other = (info.digest if isinstance(info, SetupInfo) else None for info in found)
        return one is not None and one == other

    def _batch(self, processes: ProcessSet) -> int:
        """Calls per batch: 1 for experiments of SHORT_S and longer, else as many as BATCH_S holds."""
        info = processes.ask("base", "setup", self._seed(), 1, False)
        timed = processes.ask("base", "run", 1)
        if not isinstance(timed, Timed) or not isinstance(info, SetupInfo):
            return 1
        call_s = max(timed.wall_ns, 1) / 1e9
        if call_s >= SHORT_S:
            return 1
        affordable = int(BATCH_SETUP_S / max(info.wall_ns / 1e9, 1e-6))
        return max(1, min(math.ceil(BATCH_S / call_s), MAX_BATCH, affordable))


def _states(track: Track) -> dict[str, ArmState]:
    return {name: ArmState(name) for name in track.arms}


def _in_order(track: Track) -> list[str]:
    return sorted(track.arms, key=lambda name: (name != "base", name != "human", name))


def _generator(track: Track) -> np.random.Generator:
    seed = track.timing.seed
    return np.random.default_rng(secrets.randbits(64) if seed is None else seed)
