"""How a session is laid out: rounds per set of processes, sets between looks, calls per batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from tasks.timing.alpha_spending import looks

SHORT_S = 0.005
"""Experiments shorter than this are timed in batches."""
BATCH_S = 0.02
"""Length of a batch."""
SHARED_S = 0.05
"""Length of a batch whose arms share a core: a dozen turns of about 3 ms each. Shorter experiments are batched too."""
MAX_BATCH = 200
"""Calls of a batch at most."""
BATCH_SETUP_S = 0.1
"""Time that setting up one batch may take, in each arm. Charges are averaged over its workloads: with few of them many
more rounds are needed."""
ALIKE = 4.0
"""Arms up to this many times as slow as the human share its batches: with them a comparison may be close."""
FEWEST_ROUNDS = 3
"""Rounds that are worth a look if the calls are too long for `min_rounds`."""
SET_ROUNDS = 6
"""Rounds that one set of processes serves at least, after the first look."""
MOST_SET_ROUNDS = 40
"""And at most."""
SPREAD_RATIO = 3.0
"""Rounds differ by about this many times as much (standard deviation) as sets of processes do."""


@dataclass(frozen=True)
class Costs:
    """Seconds of starting a set of processes (its warm-up included), and of a round."""

    start_s: float
    round_s: float


def rounds_per_set(costs: Costs) -> int:
    """Rounds of a set at which a session of given length has the least variance.

    A set's mean of n rounds varies by tau^2 + sigma^2 / n and costs start + n round; the best n is sigma / tau *
    sqrt(start / round) (Cochran, "Sampling Techniques", 1977, section 10.6).
    """
    best = SPREAD_RATIO * math.sqrt(costs.start_s / max(costs.round_s, 1e-6))
    return int(min(MOST_SET_ROUNDS, max(SET_ROUNDS, best)))


def plan(first: int, last: int, sets: int, per_set: int = SET_ROUNDS) -> list[list[int]]:
    """Rounds per set of processes between looks: the first block over `sets` sets, later ones over new sets.

    `plan(8, 27, 3)` is `[[3, 3, 2], [4], [6], [5, 4]]`: looks after 8, 12, 18 and 27 rounds.
    """
    marks = looks(first, last)
    later = [after - before for before, after in pairwise(marks)]
    return [_spread(marks[0], min(sets, marks[0])), *(_spread(rounds, -(-rounds // per_set)) for rounds in later)]


def _spread(rounds: int, sets: int) -> list[int]:
    return [rounds // sets + (index < rounds % sets) for index in range(sets)]


def first_block(wanted: int, processes: int, left_s: float, costs: Costs) -> tuple[int, int]:
    """(rounds, sets of processes) before the first look: what was asked for, as far as the time allows.

    One set runs already. Where time is short, as many sets as are worth their starts (see rounds_per_set).
    """
    round_s = max(costs.round_s, 1e-6)
    if (processes - 1) * costs.start_s + wanted * round_s <= left_s and wanted >= 2 * processes:
        return wanted, processes
    worth = int((left_s + costs.start_s) / (costs.start_s + rounds_per_set(costs) * round_s))
    sets = max(1, min(processes, worth, wanted // 2))
    return max(FEWEST_ROUNDS, min(wanted, int((left_s - (sets - 1) * costs.start_s) / round_s))), sets


def batches(
    call_s: Mapping[str, float], setup_s: Mapping[str, float], shared: bool = False
) -> tuple[int, dict[str, int]]:
    """Calls per batch: those of base, which others share, and those of arms so much faster that they need more.

    A single call of a millisecond is mostly noise, also where base takes long. `call_s` and `setup_s` are seconds of
    one call and one setup by arm; `shared`: the arms will share a core.
    """
    number = _batch(call_s["base"], setup_s["base"], shared)
    others = {name: seconds for name, seconds in call_s.items() if name != "base"}
    if not others:
        return number, {}
    anchor = others.get("human", min(others.values()))
    alike = [name for name, seconds in others.items() if seconds <= ALIKE * anchor]
    larger = _batch(anchor, max(setup_s[name] for name in alike), shared)
    return number, dict.fromkeys(alike, larger) if larger > 1.5 * number else {}


def _batch(call_s: float, setup_s: float, shared: bool) -> int:
    """1 for experiments that are long enough, else as many as a batch holds and BATCH_SETUP_S can set up."""
    short, length = (SHARED_S, SHARED_S) if shared else (SHORT_S, BATCH_S)
    if call_s >= short:
        return 1
    return max(1, min(math.ceil(length / max(call_s, 1e-9)), MAX_BATCH, int(BATCH_SETUP_S / max(setup_s, 1e-6))))
