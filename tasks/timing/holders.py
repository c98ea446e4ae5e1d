"""Who holds the cores that a session waits for: the kernel knows whose file locks they are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import psutil

TOLD_AFTER_S = 5.0
"""Seconds of waiting that need no line in a log."""
TOLD_EVERY_S = 60.0
_LOCKS = Path("/proc/locks")

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("waiting", default=None)


@contextmanager
def told_of_waiting(listener: Callable[[str], None]) -> Iterator[None]:
    """A session inside that waits for cores says for whom, after some seconds and then every minute."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Patience:
    """The wait of one session."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TOLD_AFTER_S

    def tell(self, files: Sequence[Path]) -> None:
        """Say who holds one of the locks, if it is time to and somebody listens."""
        listener = _listener.get()
        if listener is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + TOLD_EVERY_S
            listener(holders(files))


def holders(files: Sequence[Path]) -> str:
    """The processes that hold one of these file locks, with their commands; or that none of this system does.

    A process in another container has no number here. The test of the lock itself stays with whoever takes it.
    """
    pids = set()
    with suppress(OSError):
        nodes = {os.stat(file).st_ino for file in files if file.exists()}
        for line in _LOCKS.read_text().splitlines():
            fields = line.split()  # 1: FLOCK ADVISORY WRITE 1234 08:02:131 0 EOF
            if "->" not in fields and len(fields) > 5 and int(fields[5].rpartition(":")[2]) in nodes:
                pids.add(int(fields[4]))
    found = [_process(pid) for pid in sorted(pids)]
    return "; ".join(found) or "a session in another container of this machine, or by a limit that is set to 0"


def _process(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        since = time.strftime("%H:%M", time.localtime(process.create_time()))
        return f"process {pid} (since {since}: {' '.join(process.cmdline())[:120]})"
    except (psutil.Error, ValueError):
        return f"process {pid}"
