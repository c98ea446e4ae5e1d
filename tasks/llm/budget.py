"""Money per run: what was spent and what is promised to requests under way.

A run is the life of a process, or the time since `reset`: flows call `reset` when they start. Answers from the cache
cost nothing, so a run that stopped at its budget goes on from there when it is started again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.llm.models import BudgetExceeded

_lock = threading.Condition()
_spent: dict[str, float] = {}
_promised: dict[str, float] = {}
_under_way: dict[str, int] = {}


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


def promised(store_root: str) -> float:
    """US dollars that requests under way may cost."""
    with _lock:
        return _promised.get(store_root, 0.0)


@contextmanager
def reserve(store_root: str, budget_usd: float | None, worst_usd: float) -> Iterator[Charge]:
    """Set `worst_usd` aside while a request is under way, then book what it cost.

    Where it fits only if requests under way cost less than they may, it waits for them. Raises BudgetExceeded, before
    anything is sent, if the worst case does not fit into what is left.
    """
    charge = Charge()
    with _lock:
        while budget_usd is not None and spent(store_root) + promised(store_root) + worst_usd > budget_usd:
            if spent(store_root) + worst_usd > budget_usd or not promised(store_root):
                raise BudgetExceeded(
                    f"llm.budget_usd is {budget_usd:g}: {spent(store_root):.4f} spent, {promised(store_root):.4f} "
                    f"under way, and the next request may cost {worst_usd:.4f}; raise the budget and run again "
                    "(finished answers are kept)"
                )
            _lock.wait()
        _promised[store_root] = promised(store_root) + worst_usd
        _under_way[store_root] = _under_way.get(store_root, 0) + 1
    try:
        yield charge
    finally:
        with _lock:
            _under_way[store_root] -= 1
            # sums of fractions leave a rest, for which nobody must wait
            left = _promised[store_root] - worst_usd if _under_way[store_root] else 0.0
            _promised[store_root] = max(0.0, left)
            _spent[store_root] = spent(store_root) + charge.usd
            _lock.notify_all()
