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
    """What a request turned out to cost. Each try that got no answer in time counts with its worst case."""

    def __init__(self, store_root: str, budget_usd: float | None, worst_usd: float) -> None:
        self.usd = 0.0
        """Price of the answer; set by the one who made the request."""
        self._root, self._budget_usd, self._worst_usd = store_root, budget_usd, worst_usd
        self._holds = False

    def lost(self, again: bool) -> None:
        """The try got no answer, but the provider may have made one and bill it: its worst case is spent.

        With `again`, the worst case of the next try is set aside. Raises BudgetExceeded if it does not fit.
        """
        with _lock:
            self.give_back(self._worst_usd)
            if again:
                self.set_aside()

    def set_aside(self) -> None:
        """Promise the worst case; waits while it fits only if requests under way cost less than they may."""
        root, worst_usd = self._root, self._worst_usd
        with _lock:
            while self._budget_usd is not None and spent(root) + promised(root) + worst_usd > self._budget_usd:
                if spent(root) + worst_usd > self._budget_usd or not promised(root):
                    raise BudgetExceeded(
                        f"llm.budget_usd is {self._budget_usd:g}: {spent(root):.4f} spent, {promised(root):.4f} "
                        f"under way, and the next request may cost {worst_usd:.4f}; raise the budget and run again "
                        "(finished answers are kept)"
                    )
                _lock.wait()
            _promised[root] = promised(root) + worst_usd
            _under_way[root] = _under_way.get(root, 0) + 1
            self._holds = True

    def give_back(self, usd: float) -> None:
        """Book `usd` instead of what was set aside."""
        root = self._root
        with _lock:
            if self._holds:
                self._holds = False
                _under_way[root] -= 1
                # sums of fractions leave a rest, for which nobody must wait
                left = _promised[root] - self._worst_usd if _under_way[root] else 0.0
                _promised[root] = max(0.0, left)
            _spent[root] = spent(root) + usd
            _lock.notify_all()


def reset(store_root: str) -> None:
    """Start a new run on this store: nothing spent yet."""
    with _lock:
        _spent.pop(store_root, None)


def spent(store_root: str) -> float:
    """US dollars spent by this run on this store, tries without an answer at the most that they may have cost."""
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
    charge = Charge(store_root, budget_usd, worst_usd)
    charge.set_aside()
    try:
        yield charge
    finally:
        charge.give_back(charge.usd)
