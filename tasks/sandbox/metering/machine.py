"""The time in which the machine's cores were not idle: what remains where no control group can be read."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tasks.sandbox.metering.models import TICK_NS, MeterName

_IDLE = (4, 5, 8)
"""Fields of /proc/stat's `cpu` line, after proc_stat(5): idle, waiting for disk, taken by other machines ("steal")."""


class MachineMeter:
    """See `tasks.sandbox.metering.models.Meter`. Of all that runs on this machine.

    The kernel samples what is busy and measures what is idle, so this is time that passed on all cores, less idle time.
    """

    name: MeterName = "machine"
    resolution_ns = TICK_NS
    complete = True

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        """Raises OSError if `stat` tells nothing."""
        self._stat = stat
        self._cores = os.cpu_count() or 1
        self._start = time.monotonic_ns()
        self._idle_ns = 0
        first = self._idle()
        if not first:
            raise OSError(f"{stat} does not tell idle time")
        self._idle_ns = first

    def read_ns(self) -> int | None:
        """CPU time since this meter was made."""
        passed, idle_ns = time.monotonic_ns() - self._start, self._idle()
        return None if idle_ns is None else passed * self._cores - (idle_ns - self._idle_ns)

    def _idle(self) -> int | None:
        try:
            with self._stat.open() as lines:
                fields = lines.readline().split()
            return sum(int(fields[index]) for index in _IDLE) * TICK_NS
        except (OSError, ValueError, IndexError):
            return None
