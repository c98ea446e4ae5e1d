"""The control group of the worker itself, for where groups can be read and not made: ordinary containers. And the whole
machine in its place, where none can be read.

Its count holds the driver, every arm, whatever arms started and nobody waited for, and perhaps strangers. What the
known ones used is taken off; the rest is what nobody accounts for. Whose it is can only be said of a time in which one
arm alone was at work, so `tasks.timing` plays some rounds with one arm at a time and charges the rest to that arm:

    worker = WorkerGroup.find()                  # once a session, before its arms start; None: no such group
    before = worker.read(processes)              # `processes`: of all arms of the session, also those that idle
    ...                                          # one arm is asked; the others wait
    after = worker.read(processes)
    rest = worker.unaccounted_ns(before, after)  # signed; None: an arm ended in between, so it cannot be said
    used = process.cpu_ns() difference + rest    # of that arm: exact, whatever it did with children

Children that were awaited are in `Process.cpu_ns` here by whole ticks of 10 ms, and what the ticks cut off is in the
rest, which is therefore negative at times: the sum is exact, so never cut the rest off at 0 before adding.

What else is in the rest: strangers that came after `find`, short programs of the driver (none run during a round), and
sessions of other workers in the same group, which therefore disturb each other here: time one session at a time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import psutil

from tasks.sandbox.metering.groups import GroupMeter, meters_of
from tasks.sandbox.metering.machine import MachineMeter
from tasks.sandbox.metering.models import TICK_NS, MeterName
from tasks.sandbox.metering.processes import clock_of


class Counted(Protocol):
    """What is asked of a `tasks.sandbox.models.Process` here."""

    @property
    def pid(self) -> int | None:
        """Id of its first process on this machine."""

    def cpu_ns(self) -> int | None:
        """CPU time of what is seen of it."""


@dataclass(frozen=True)
class Whole:
    """One reading."""

    total_ns: int
    """Of the group."""
    arms: Mapping[int, int]
    """Nanoseconds by process id of an arm's first process."""
    others: Mapping[int, int]
    """Of the driver and of strangers that were there before."""


class WorkerGroup:
    """The group that this process is in, or the machine, and who else was there at first."""

    def __init__(self, meter: GroupMeter | MachineMeter) -> None:
        self._meter = meter
        members = _members(meter.folder) if isinstance(meter, GroupMeter) else set(psutil.pids())
        self._others = members | {os.getpid()}
        self.name: MeterName = "worker" if isinstance(meter, GroupMeter) else "machine"
        self.resolution_ns = meter.resolution_ns

    @classmethod
    def find(cls, folder: Path | None = None) -> WorkerGroup | None:
        """This process's own group (or the one at `folder`), else the machine; None if neither counts."""
        with contextlib.suppress(OSError):
            # The narrowest: of two hierarchies, one may not divide the machine at all.
            groups = meters_of("self") if folder is None else [GroupMeter(folder)]
            for meter in sorted(groups, key=lambda group: len(_members(group.folder))):
                if _grows(meter):
                    return cls(meter)
        with contextlib.suppress(OSError):
            machine = MachineMeter()
            if _grows(machine):
                return cls(machine)
        return None

    def read(self, arms: Iterable[Counted]) -> Whole | None:
        """What is used so far, by all and by each that is known; None if it cannot be read. Costs what `arms` cost."""
        known = {arm.pid: arm.cpu_ns() for arm in arms}
        others = {pid: used for pid in self._others if (used := _clock(pid)) is not None}
        total_ns = self._meter.read_ns()
        if total_ns is None:
            return None
        return Whole(total_ns, {pid: ns for pid, ns in known.items() if pid is not None and ns is not None}, others)

    def unaccounted_ns(self, before: Whole | None, after: Whole | None) -> int | None:
        """CPU time between two readings that no arm, stranger or driver is known to have used. Signed.

        An arm that started in between counts from its start. None if one ended, or if a reading is missing.
        """
        if before is None or after is None or not before.arms.keys() <= after.arms.keys():
            return None
        arms = sum(ns - before.arms.get(pid, 0) for pid, ns in after.arms.items())
        # An id that another process has got by now counts from 0.
        others = sum(max(0, ns - before.others[pid]) for pid, ns in after.others.items() if pid in before.others)
        return after.total_ns - before.total_ns - arms - others


@lru_cache
def worker_meter() -> MeterName:
    """What `WorkerGroup.find` finds here: `worker` or `machine`; `processes` if nothing."""
    found = WorkerGroup.find()
    return "processes" if found is None else found.name


def _grows(meter: GroupMeter | MachineMeter) -> bool:
    """Whether this process's own work is in the count."""
    before, start = meter.read_ns(), time.process_time_ns()
    while time.process_time_ns() - start < 3 * TICK_NS:
        pass
    after = meter.read_ns()
    return before is not None and after is not None and after - before >= TICK_NS


def _members(folder: Path) -> set[int]:
    """Ids of the processes in a group and below it; those that this process's namespace does not show are 0 there."""
    found: set[int] = set()
    for listed in folder.rglob("cgroup.procs"):
        with contextlib.suppress(OSError, ValueError):
            found |= set(map(int, listed.read_text().split()))
    return found - {0}


def _clock(pid: int) -> int | None:
    try:
        return time.clock_gettime_ns(clock_of(pid))
    except OSError:
        return None
