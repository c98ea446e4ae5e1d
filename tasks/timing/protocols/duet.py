"""Both arms at the same moment, on two cores that they swap.

After Bulej et al., "Duet Benchmarking: Improving Measurement Accuracy in the Cloud" (ICPE 2020): what slows the whole
machine slows both alike, also where it comes and goes within a call. Of several arms each is paired with base, one pair
after the other; two arms are compared through their ratios to base. Nothing moves between cores: each arm has a process
on either core, and the pairs cross. Cores differ in speed, so only the mean of both sides counts: a round is all pairs
twice, once on either side. Where one arm of a pair is much faster, it has a co-runner only for a part of base's call;
`duet` is for close comparisons. Everything else is as in `interleaved`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from configs.errors import UserError
from tasks.timing.models import SessionState
from tasks.timing.processes import ProcessSet, SessionContext
from tasks.timing.protocols.common import Needed, new_state
from tasks.timing.protocols.interleaved import Runner, run_looks
from tasks.timing.result_check import ResultChecker


def duet(context: SessionContext, cores: tuple[int, ...], needed: Needed) -> SessionState:
    """Time until no arm is needed any more, or rounds or time are up. Raises UserError without cores for two."""
    if len(cores) < 2 * context.timing.cores:
        raise UserError(
            f"timing.protocol duet calls two arms at once and needs {2 * context.timing.cores} cores (twice "
            f"timing.cores); a session gets {len(cores)} here. Set timing.protocol=interleaved, or lower timing.cores"
        )
    state = new_state(context)
    deadline = time.monotonic() + context.timing.budget_s
    with ResultChecker(context) as checker:
        run_looks(DuetRunner(context, state, cores, checker, deadline), needed)
    return state


class DuetRunner(Runner):
    """Plays every round as one pair after the other, each on both sides."""

    together = True

    def _start(self, names: Sequence[str], hash_seed: int) -> ProcessSet:
        if self.state.fresh:  # each pair starts its own
            return ProcessSet(self.context, self.state, [], None, hash_seed)
        with ExitStack() as stack:
            straight = stack.enter_context(self._pinned(names, hash_seed, crossed=False))
            straight.crossed = stack.enter_context(self._pinned(names, hash_seed, crossed=True))
            stack.pop_all()
        return straight

    def _pinned(self, names: Sequence[str], hash_seed: int, crossed: bool) -> ProcessSet:
        width = self.context.timing.cores
        one, other = self.cores[:width], self.cores[width : 2 * width]
        base, rest = (other, one) if crossed else (one, other)
        return ProcessSet(
            self.context, self.state, names, {name: base if name == "base" else rest for name in names}, hash_seed
        )

    def _groups(self, processes: ProcessSet) -> Iterator[tuple[ProcessSet, list[str]]]:
        for name in self._shuffled([name for name in self._names if name != "base" and self.state.alive(name)]):
            for crossed in (False, True):
                pair = self._shuffled(["base", name])
                if not self.state.fresh:
                    yield (processes.crossed if crossed and processes.crossed else processes), pair
                else:  # base would remember the workload from one pair to the next
                    with self._pinned(pair, self._hash_seed(), crossed) as fresh:
                        yield fresh, pair
