"""What a running command uses, as the kernel counts it, read from outside: nothing inside can change these numbers.

CPU time of everything that it started is its meter's (`tasks.sandbox.metering`). What a meter cannot say comes from
/proc: how long the main thread waited for its core, how often it slept, how many processes there are.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.sandbox.metering.models import Meter
from tasks.sandbox.metering.processes import tree

_SLEEPS = re.compile(rb"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)


class Metered(Protocol):
    """What is asked of a `tasks.sandbox.models.Process` here."""

    @property
    def pid(self) -> int | None:
        """Id of its first process on this machine."""

    @property
    def meter(self) -> Meter:
        """What counts its CPU time."""

    def cpu_ns(self) -> int | None:
        """CPU time of everything that it started."""


@dataclass(frozen=True)
class MainThread:
    """The main process's first thread, at one moment."""

    cpu_ns: int
    wait_ns: int
    """How long it has been ready to run while its core ran something else."""
    sleeps: int
    """How often it has given up its core because it had to wait for something else."""


@dataclass(frozen=True)
class Usage:
    """One reading."""

    cpu_ns: int
    """CPU time of all that the command started, as its meter tells it."""
    main: MainThread | None
    """None where it cannot be seen: another machine's processes, or a kernel that does not list children."""
    processes: int
    """0 where they cannot be seen."""


class Account:
    """Reads the usage of one command."""

    def __init__(self, process: Metered, inner: int) -> None:
        """`inner`: what the process that is measured calls itself."""
        self._process = process
        root = process.pid
        mains = [] if root is None else [pid for pid in tree(root) if _inner_id(pid) == inner]
        self._main = _Files(mains[-1]) if mains else None

    def read(self) -> Usage | None:
        """The usage now; None where nothing can be known, and once the command has ended."""
        cpu_ns = self._process.cpu_ns()
        main = None if self._main is None else self._main.read()
        if cpu_ns is None or (main is None and self._main is not None):
            return None
        return Usage(cpu_ns, main, self._process.meter.processes())


class _Files:
    """What the kernel tells of a process's first thread: files that stay open, and never become another process's."""

    def __init__(self, pid: int) -> None:
        self._fds: list[int] = []
        with contextlib.suppress(OSError):
            for name in ("schedstat", "status"):
                self._fds.append(os.open(f"/proc/{pid}/task/{pid}/{name}", os.O_RDONLY))

    def read(self) -> MainThread | None:
        """None once it is gone."""
        try:
            schedstat, status = (os.pread(fd, 4096, 0) for fd in self._fds)
            cpu, wait, _ = schedstat.split()
        except (OSError, ValueError):
            return None
        sleeps = _SLEEPS.search(status)
        return MainThread(int(cpu), int(wait), int(sleeps[1]) if sleeps else 0)

    def __del__(self) -> None:
        for fd in self._fds:
            os.close(fd)


class Watch:
    """Keeps account of one process from outside: what it used while a request was pending, and what while none was."""

    def __init__(self) -> None:
        self._account: Account | None = None
        self._before: Usage | None = None
        self._after: Usage | None = None
        self.idle_ns = 0
        """CPU time between requests, since it was last set to 0."""

    def start(self, process: Metered, inner: int) -> None:
        """From now on; see Account."""
        self._account = Account(process, inner)
        self.end()

    def begin(self) -> None:
        """A request is about to be sent."""
        self._before = self._account.read() if self._account else None
        if self._before and self._after:
            self.idle_ns += max(0, self._before.cpu_ns - self._after.cpu_ns)

    def end(self) -> None:
        """The answer has come."""
        self._after = self._account.read() if self._account else None

    def waited_s(self) -> float:
        """For how long the request that is pending has been kept from running by others, so far; 0 if unknown."""
        now = self._account.read() if self._account else None
        return (_waited_ns(self._before, now) or 0) / 1e9

    def wait_ns(self) -> int | None:
        """How long the last request waited for its core at most, not for its own threads and children."""
        return _waited_ns(self._before, self._after)

    def cpu_ns(self) -> int | None:
        """CPU time of all that the command started, during the last request."""
        if self._before is None or self._after is None:
            return None
        return max(0, self._after.cpu_ns - self._before.cpu_ns)

    def helpers_ns(self) -> int | None:
        """CPU time during the last request that was not the main process's first thread's."""
        return _helpers_ns(self._before, self._after)

    def sleeps(self) -> int | None:
        """How often the main process's first thread slept during the last request, the wait for it perhaps included."""
        before, after = _mains(self._before, self._after)
        return None if before is None or after is None else after.sleeps - before.sleeps

    def left_processes(self) -> bool:
        """Whether more processes run after the last request than before it."""
        return bool(self._before and self._after) and self._after.processes > self._before.processes  # type: ignore[union-attr]


def _mains(before: Usage | None, after: Usage | None) -> tuple[MainThread | None, MainThread | None]:
    return before.main if before else None, after.main if after else None


def _helpers_ns(before: Usage | None, after: Usage | None) -> int | None:
    """CPU time between two readings that was not the main thread's."""
    main_before, main_after = _mains(before, after)
    if before is None or after is None or main_before is None or main_after is None:
        return None
    return max(0, (after.cpu_ns - before.cpu_ns) - (main_after.cpu_ns - main_before.cpu_ns))


def _waited_ns(before: Usage | None, after: Usage | None) -> int | None:
    """How long the main thread waited between two readings, less what its own threads and children ran."""
    helpers, (main_before, main_after) = _helpers_ns(before, after), _mains(before, after)
    if helpers is None or main_before is None or main_after is None:
        return None
    return max(0, main_after.wait_ns - main_before.wait_ns - helpers)


def thread_wait_ns(thread: int) -> int:
    """How long a thread of this process has been ready to run while its core ran something else; 0 if unknown."""
    try:
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _inner_id(pid: int) -> int | None:
    """The id that a process has in its innermost namespace."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except (OSError, ValueError):
        pass
    return None
