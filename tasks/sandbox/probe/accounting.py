"""What a running command uses, as the kernel counts it, read from outside: nothing inside can change these numbers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_SLEEPS = re.compile(rb"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)
_MOST = 4096
"""Processes that are looked at: far more than any limit allows."""


@dataclass(frozen=True)
class Usage:
    """One reading."""

    cpu_ns: int
    """CPU time of the whole tree: of processes that live to the nanosecond, of those that ended and were awaited to
    the tick (10 ms)."""
    main_cpu_ns: int
    """CPU time of the main process's first thread."""
    wait_ns: int
    """How long that thread has been ready to run while its core ran something else."""
    sleeps: int
    """How often that thread has given up its core because it had to wait for something else."""
    processes: int


class Meter:
    """Reads the usage of a tree of processes from `/proc`."""

    def __init__(self, root: int, main: int) -> None:
        """`root`: process id of the first process, as seen from here; `main`: likewise of the one that is measured."""
        self._root, self._main = root, main

    @classmethod
    def find(cls, root: int | None, inner: int) -> Meter | None:
        """The meter of the tree below `root`, whose main process calls itself `inner`.

        None where that cannot be seen: another machine's processes, or a kernel that does not list children.
        """
        if root is None:
            return None
        mains = [pid for pid in tree(root) if _inner_id(pid) == inner]
        found = cls(root, mains[-1]) if mains else None
        return found if found is not None and found.read() is not None else None

    def read(self) -> Usage | None:
        """The usage now; None once the main process is gone."""
        cpu_ns = processes = 0
        for pid in tree(self._root):
            try:
                cpu_ns += time.clock_gettime_ns(_clock_of(pid)) + _ticks_of_children(pid) * _TICK_NS
            except (OSError, ValueError, IndexError):
                continue  # it ended meanwhile
            processes += 1
        try:
            thread = Path(f"/proc/{self._main}/task/{self._main}")
            main_cpu, wait, _ = (thread / "schedstat").read_text().split()
            sleeps = _SLEEPS.search((thread / "status").read_bytes())
        except (OSError, ValueError):
            return None
        return Usage(
            cpu_ns=cpu_ns,
            main_cpu_ns=int(main_cpu),
            wait_ns=int(wait),
            sleeps=int(sleeps[1]) if sleeps else 0,
            processes=processes,
        )


class Watch:
    """Keeps account of one process from outside: what it used while a request was pending, and what while none was."""

    def __init__(self) -> None:
        self._meter: Meter | None = None
        self._before: Usage | None = None
        self._after: Usage | None = None
        self.idle_ns = 0
        """CPU time between requests, since it was last set to 0."""

    def start(self, root: int | None, inner: int) -> None:
        """From now on; see Meter.find."""
        self._meter = Meter.find(root, inner)
        self.end()

    def begin(self) -> None:
        """A request is about to be sent."""
        self._before = self._meter.read() if self._meter else None
        if self._before and self._after:
            self.idle_ns += max(0, self._before.cpu_ns - self._after.cpu_ns)

    def end(self) -> None:
        """The answer has come."""
        self._after = self._meter.read() if self._meter else None

    def waited_s(self) -> float:
        """For how long the request that is pending has been kept from running by others, so far; 0 if unknown."""
        now = self._meter.read() if self._meter else None
        if self._before is None or now is None:
            return 0.0
        helpers = max(0, (now.cpu_ns - self._before.cpu_ns) - (now.main_cpu_ns - self._before.main_cpu_ns))
        return max(0, now.wait_ns - self._before.wait_ns - helpers) / 1e9

    def wait_ns(self) -> int | None:
        """How long the last request waited for its core at most, not for its own threads and children."""
        helpers = self.helpers_ns()
        if self._before is None or self._after is None or helpers is None:
            return None
        return max(0, self._after.wait_ns - self._before.wait_ns - helpers)

    def cpu_ns(self) -> int | None:
        """CPU time of the whole tree during the last request."""
        if self._before is None or self._after is None:
            return None
        return max(0, self._after.cpu_ns - self._before.cpu_ns)

    def helpers_ns(self) -> int | None:
        """CPU time during the last request that was not the main process's first thread's."""
        if self._before is None or self._after is None:
            return None
        cpu, main = (getattr(self._after, name) - getattr(self._before, name) for name in ("cpu_ns", "main_cpu_ns"))
        return max(0, cpu - main)

    def sleeps(self) -> int | None:
        """How often the main process's first thread slept during the last request, the wait for it perhaps included."""
        if self._before is None or self._after is None:
            return None
        return self._after.sleeps - self._before.sleeps

    def left_processes(self) -> bool:
        """Whether more processes run after the last request than before it."""
        return bool(self._before and self._after) and self._after.processes > self._before.processes  # type: ignore[union-attr]


def thread_wait_ns(thread: int) -> int:
    """How long a thread of this process has been ready to run while its core ran something else; 0 if unknown."""
    try:
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _clock_of(pid: int) -> int:
    """The clock of another process's CPU time: Linux's CPUCLOCK_SCHED (2) with the process id above it, inverted."""
    return (~pid << 3) | 2


def _ticks_of_children(pid: int) -> int:
    """Ticks of ended and awaited children. The name, in parentheses, may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[13]) + int(fields[14])


def _inner_id(pid: int) -> int | None:
    """The id that a process has in its innermost namespace."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except (OSError, ValueError):
        pass
    return None


def tree(root: int) -> Iterator[int]:
    """The process and all below it."""
    waiting, seen = [root], 0
    while waiting and seen < _MOST:
        pid = waiting.pop()
        seen += 1
        yield pid
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except (OSError, ValueError):
            continue
