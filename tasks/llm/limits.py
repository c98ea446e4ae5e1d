"""How fast requests may go out: so many at once, and so many tokens per minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

WINDOW_S = 60.0

_lock = threading.Lock()
_gates: dict[tuple[str, int], threading.BoundedSemaphore] = {}
_paces: dict[tuple[str, int], Pace] = {}


class Pace:
    """Tokens of the last minute. A request is booked with what it may use, as providers do, then with what it used."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._booked: deque[list[float]] = deque()  # [time, tokens], oldest first
        self._turn = threading.Condition()

    @contextmanager
    def book(self, tokens: int) -> Iterator[list[float]]:
        """Wait until `tokens` fit into the minute; put into `[1]` of what is given how many it turned out to be.

        A request that is larger than a whole minute's worth waits for an empty one.
        """
        with self._turn:
            while (wait_s := self._wait_s(tokens)) > 0:
                self._turn.wait(wait_s)
            entry = [time.monotonic(), float(tokens)]
            self._booked.append(entry)
        yield entry
        with self._turn:
            self._turn.notify_all()

    def _wait_s(self, tokens: int) -> float:
        """Seconds until it may go; 0 if now."""
        now = time.monotonic()
        while self._booked and self._booked[0][0] + WINDOW_S <= now:
            self._booked.popleft()
        over = sum(entry[1] for entry in self._booked) + tokens - self._per_minute
        for when, used in self._booked:
            if over <= 0:
                break
            over -= used
            if over <= 0 or (when, used) == tuple(self._booked[-1]):
                return when + WINDOW_S - now
        return 0.0


def gate(model: str, at_once: int) -> threading.BoundedSemaphore:
    """The semaphore that all requests of this process to `model` share."""
    with _lock:
        return _gates.setdefault((model, at_once), threading.BoundedSemaphore(at_once))


def pace(model: str, per_minute: int) -> Pace:
    """The pace that all requests of this process to `model` share."""
    with _lock:
        if (model, per_minute) not in _paces:
            _paces[model, per_minute] = Pace(per_minute)
        return _paces[model, per_minute]
