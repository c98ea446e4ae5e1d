"""GSO's protocol, for comparison: one arm after the other, each in a few fresh processes."""

from __future__ import annotations

from tasks.timing.models import SessionState
from tasks.timing.processes import ProcessSet, SessionContext
from tasks.timing.protocols.common import Needed, generator, in_order, new_state
from tasks.timing.result_check import ResultChecker
from tasks.timing.round_plan import RoundPlan
from tasks.timing.rounds import Reference, play

SEQUENTIAL_RUNS = 5
"""Fresh processes per arm."""


def sequential(context: SessionContext, cores: tuple[int, ...], needed: Needed) -> SessionState:
    """SEQUENTIAL_RUNS fresh processes of one arm, then of the next; no pinning, no warm-up, no batches."""
    state = new_state(context)
    state.fresh = True
    seeds = [int(seed) for seed in generator(context).integers(2**31, size=SEQUENTIAL_RUNS)]
    references: list[Reference | None] = [None] * SEQUENTIAL_RUNS
    with ResultChecker(context) as checker:
        for name in in_order(context):
            for run, seed in enumerate(seeds):
                if not state.alive(name):
                    break
                round_plan = RoundPlan(process=run, round=run, seed=seed, order=[name], keeps=True)
                with ProcessSet(context, state, [name], None, run) as processes:
                    found = play(processes, state, round_plan, checker, context.timing.device, references[run])
                    references[run] = found
    needed(state, context.timing.confidence)
    return state
