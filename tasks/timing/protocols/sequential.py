"""GSO's protocol, for comparison: one arm after the other, each in a few fresh processes."""

from __future__ import annotations

from tasks.timing.models import Race
from tasks.timing.processes import ProcessSet, Track
from tasks.timing.protocols.common import Needed, generator, in_order, new_race
from tasks.timing.result_check import Referee
from tasks.timing.round_plan import Heat
from tasks.timing.rounds import Reference, play

SEQUENTIAL_RUNS = 5
"""Fresh processes per arm."""


def sequential(track: Track, cores: tuple[int, ...], needed: Needed) -> Race:
    """SEQUENTIAL_RUNS fresh processes of one arm, then of the next; no pinning, no warm-up, no batches."""
    race = new_race(track)
    race.fresh = True
    seeds = [int(seed) for seed in generator(track).integers(2**31, size=SEQUENTIAL_RUNS)]
    references: list[Reference | None] = [None] * SEQUENTIAL_RUNS
    with Referee(track) as referee:
        for name in in_order(track):
            for run, seed in enumerate(seeds):
                if not race.alive(name):
                    break
                heat = Heat(process=run, round=run, seed=seed, order=[name], keeps=True)
                with ProcessSet(track, race, [name], None, run) as processes:
                    found = play(processes, race, heat, referee, track.timing.device, references[run])
                    references[run] = found
    needed(race, track.timing.confidence)
    return race
