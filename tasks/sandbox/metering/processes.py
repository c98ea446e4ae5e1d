"""The CPU time of the processes that can be seen below a first one, from /proc."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator

from tasks.sandbox.metering.groups import GroupMeter
from tasks.sandbox.metering.models import TICK_NS, MeterName

_MOST = 4096
"""Processes that are looked at: far more than any limit allows."""
_MOST_BYTES = 32 * 1024
LATE_NS = 20_000_000
"""What may be seen of processes and not yet in their group's count: work before they joined it, ticks."""
_IGNORED = re.compile(rb"^SigIgn:\s*([0-9a-f]+)", re.MULTILINE)
_SIGCHLD_BIT = 1 << 16


class ProcessesMeter:
    """See `tasks.sandbox.metering.models.Meter`. Sums living processes to the nanosecond, ended ones to the tick.

    An ended child is remembered by whoever waits for it. One of a parent that ignores SIGCHLD is forgotten at once, and
    `complete` tells only of those that ignore it while they are looked at: by itself, this meter is never enough.
    """

    name: MeterName = "processes"
    resolution_ns = TICK_NS

    def __init__(self, root: int) -> None:
        """`root`: the first process, as seen from here."""
        self._root = root
        self.complete = True

    def read_ns(self) -> int | None:
        """CPU time so far; None once the first process is gone."""
        total = seen = 0
        for pid in tree(self._root):
            try:
                total += time.clock_gettime_ns(clock_of(pid)) + ticks_of_children(pid) * TICK_NS
                ignored = _IGNORED.search(content(f"/proc/{pid}/status"))
            except (OSError, ValueError, IndexError):
                continue  # it ended meanwhile
            seen += 1
            if ignored and int(ignored[1], 16) & _SIGCHLD_BIT:
                self.complete = False
        return total if seen else None

    def processes(self) -> int:
        """How many there are."""
        return sum(1 for _ in tree(self._root))


class HeldMeter:
    """A group's meter, for a command that could leave its group: where nothing hides the groups from it.

    What runs elsewhere is still below the command's first process, where orphans are adopted: if more is used there
    between two readings than in the group, somebody left.
    """

    def __init__(self, group: GroupMeter, root: int) -> None:
        self.name, self.resolution_ns = group.name, group.resolution_ns
        self.complete = True
        self._group, self._processes = group, ProcessesMeter(root)
        self._more_ns = 0

    def read_ns(self) -> int | None:
        """CPU time so far; None once the command has ended."""
        seen, used = self._processes.read_ns(), self._group.read_ns()
        if seen is not None and used is not None:
            more_ns, before_ns = seen - used, self._more_ns
            self._more_ns = more_ns
            if more_ns - before_ns > LATE_NS:
                self.complete = False
        return used

    def processes(self) -> int:
        """How many there are."""
        return self._group.processes()


def lists_children() -> bool:
    """Whether this kernel says which processes a process has started."""
    return os.path.exists(f"/proc/self/task/{threading.get_native_id()}/children")


def tree(root: int) -> Iterator[int]:
    """The process and all below it."""
    waiting, seen = [root], 0
    while waiting and seen < _MOST:
        pid = waiting.pop()
        seen += 1
        yield pid
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, content(f"/proc/{pid}/task/{task}/children").split())
        except (OSError, ValueError):
            continue


def content(path: str) -> bytes:
    """A small file of /proc, in a quarter of the time that `Path.read_bytes` takes."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, _MOST_BYTES)
    finally:
        os.close(fd)


def clock_of(pid: int) -> int:
    """The clock of another process's CPU time: Linux's CPUCLOCK_SCHED (2) with the process id above it, inverted."""
    return (~pid << 3) | 2


def ticks_of_children(pid: int) -> int:
    """Ticks of ended and awaited children. The name, in parentheses, may hold anything."""
    fields = content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[13]) + int(fields[14])
