"""What all attempts of a run may cost together: none begins whose own budget does not fit any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TotalSpent(Exception):
    """An attempt was not begun, since it could cost more than is left; the message says what to do."""


class Bill:
    """The cost of an attempt; as long as it is not known, the most that it may be."""

    def __init__(self, usd: float) -> None:
        self.usd = usd


class Purse:
    """Money for the attempts of one run, in US dollars. Any thread may ask."""

    def __init__(self, total_usd: float | None = None, spent_usd: float = 0.0) -> None:
        """`total_usd`: None for what the attempts' own budgets come to; `spent_usd`: what earlier runs took of it."""
        self._total, self._spent, self._promised = total_usd, spent_usd, 0.0
        self._changed = threading.Condition()

    @contextmanager
    def attempt(self, most_usd: float | None) -> Iterator[Bill]:
        """Around an attempt that may cost `most_usd`; write what it cost into the bill.

        Waits while it fits only if attempts under way cost less than they may. Raises TotalSpent if it does not fit.
        """
        if self._total is None or most_usd is None:
            yield Bill(0.0)
            return
        bill = Bill(most_usd)
        self._promise(most_usd)
        try:
            yield bill
        finally:
            with self._changed:
                self._promised -= most_usd
                self._spent += bill.usd
                self._changed.notify_all()

    def _promise(self, usd: float) -> None:
        assert self._total is not None
        with self._changed:
            while self._spent + self._promised + usd > self._total + 1e-9:
                if self._spent + usd > self._total + 1e-9:
                    raise TotalSpent(
                        f"total_usd is {self._total:g}, of which {self._spent:.4f} is spent, and the attempt may cost "
                        f"{usd:g} (budget.usd): it was not begun. With a larger total_usd the same command makes it"
                    )
                self._changed.wait()
            self._promised += usd
