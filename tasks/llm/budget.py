"""Money per run: what was spent and what is promised to requests under way.

A run is the life of a process, or the time since `reset`: flows call `reset` when they start. Answers from the cache
cost nothing, so a run that stopped at its budget goes on from there when it is started again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.llm.models import BudgetExceeded

_lock = threading.Lock()
_spent: dict[str, float] = {}
_promised: dict[str, float] = {}


class Charge:
    """What a request turned out to cost; set by the one who made it."""

    usd = 0.0


def reset(store_root: str) -> None:
    """Start a new run on this store: nothing spent yet."""
    with _lock:
        _spent.pop(store_root, None)


def spent(store_root: str) -> float:
    """US dollars spent by this run on this store."""
    with _lock:
        return _spent.get(store_root, 0.0)


@contextmanager
def reserve(store_root: str, budget_usd: float | None, worst_usd: float) -> Iterator[Charge]:
    """Set `worst_usd` aside while a request is under way, then book what it cost.

    Raises BudgetExceeded, before anything is sent, if the worst case does not fit into what is left.
    """
    charge = Charge()
    with _lock:
        used, open_usd = _spent.get(store_root, 0.0), _promised.get(store_root, 0.0)
        if budget_usd is not None and used + open_usd + worst_usd > budget_usd:
            raise BudgetExceeded(
                f"llm.budget_usd is {budget_usd:g}: {used:.4f} spent, {open_usd:.4f} under way, and the next request "
                f"may cost {worst_usd:.4f}; raise the budget and run again (finished answers are kept)"
            )
        _promised[store_root] = open_usd + worst_usd
    try:
        yield charge
    finally:
        with _lock:
            _promised[store_root] = max(0.0, _promised[store_root] - worst_usd)
            _spent[store_root] = _spent.get(store_root, 0.0) + charge.usd
