"""How far one long item is: the code that works says it, whoever runs it may listen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
"""Called with what is done and how much there is, from the thread that works."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(done: int, total: int) -> None:
    """Say how far the work is; nothing happens where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(done, total)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """What is told inside, and by threads that are given a copy of this context, goes to the listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
