"""The CPU time of a control group: everything that ever ran in it, whoever waited for it, whatever became of it.

What a process starts is in its group from its first instruction on. It stays in the sum when it ends, unnoticed by the
signals and parents that decide whether /proc remembers it.

**How late a reading is.** The kernel adds a thread's time when the thread gives up its core, and at every tick of that
core (4 ms at 250 Hz, 1 to 10 ms elsewhere) while it goes on. So of a probe that has answered and sleeps nothing is
missing, and of each thread that still runs on another core at most one tick, which is in the next reading: errors do
not add up. Reading costs 1 to 3 us (`pread` of a file that stays open).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tasks.sandbox.metering.hierarchies import UNIFIED, group_of
from tasks.sandbox.metering.models import MeterName

FILES: dict[str, MeterName] = {"cpuacct.usage": "cpuacct", "cpu.stat": "cpu.stat"}
"""Of version 1: nanoseconds. Of version 2: `usage_usec`, which every group has, whatever controllers are enabled."""
CONTROLLERS = ("cpuacct", UNIFIED)
_MOST = 512
_MOST_MEMBERS = 64 * 1024
"""Bytes: a page at a time is what the kernel gives, 500 ids or more."""
_RESOLUTION_NS = {"cpuacct.usage": 1, "cpu.stat": 1000}
_FIELD = b"usage_usec "


class GroupMeter:
    """See `tasks.sandbox.metering.models.Meter`. Of all processes that are, or were, in a group or below it."""

    complete = True

    def __init__(self, folder: Path) -> None:
        """Raises OSError if the folder holds no count of CPU time that can be read."""
        self.folder = folder
        self._members = str(folder / "cgroup.procs")
        self._file = next((name for name in FILES if (folder / name).exists()), "cpu.stat")
        self.name = FILES[self._file]
        self.resolution_ns = _RESOLUTION_NS[self._file]
        self._fd = os.open(folder / self._file, os.O_RDONLY)
        if self.read_ns() is None:
            raise OSError(f"{folder / self._file} does not tell the CPU time")

    def read_ns(self) -> int | None:
        """CPU time so far; None once the group is removed."""
        try:
            text = os.pread(self._fd, _MOST, 0)
            if self.name == "cpuacct":
                return int(text)
            start = text.index(_FIELD) + len(_FIELD)
            return int(text[start : text.index(b"\n", start)]) * 1000
        except (OSError, ValueError):
            return None

    def processes(self) -> int:
        """How many there are now, in this group itself."""
        # Version 1 lists them anew only for who opens the file anew.
        try:
            fd = os.open(self._members, os.O_RDONLY)
        except OSError:
            return 0
        try:
            return os.read(fd, _MOST_MEMBERS).count(b"\n")
        finally:
            os.close(fd)

    def __del__(self) -> None:
        # Not before: a descriptor that another thread closes may be another file's at the next reading.
        if (fd := getattr(self, "_fd", -1)) >= 0:
            os.close(fd)


def meters_of(pid: int | str) -> Iterator[GroupMeter]:
    """Of the groups that a process is in, one for each hierarchy that can be seen and counts; `pid` may be `self`."""
    for controller in CONTROLLERS:
        folder = group_of(pid, controller)
        if folder is not None:
            with contextlib.suppress(OSError):
                yield GroupMeter(folder)


def meter_of(pid: int, marked: str) -> GroupMeter | None:
    """The first of them whose path holds `marked`; None if there is none."""
    return next((meter for meter in meters_of(pid) if marked in str(meter.folder)), None)
