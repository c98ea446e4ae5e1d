"""Which meter a local command has, and which kind this machine offers."""

from __future__ import annotations

import contextlib

from tasks.sandbox.local import cgroups
from tasks.sandbox.metering.groups import GroupMeter
from tasks.sandbox.metering.models import Meter, MeterName
from tasks.sandbox.metering.processes import HeldMeter, ProcessesMeter
from tasks.sandbox.metering.worker import worker_meter


def command_meter(pid: int, group: cgroups.Group | None, confined: bool) -> Meter:
    """Of a command's first process; `confined`: it cannot leave its group."""
    if group is not None and group.metered is not None:
        with contextlib.suppress(OSError):
            meter = GroupMeter(group.metered)
            return meter if confined else HeldMeter(meter, pid)
    return ProcessesMeter(pid)


def local_meter() -> MeterName:
    """What counts the CPU time of commands here."""
    place = cgroups.find_metering()
    return worker_meter() if place is None else GroupMeter(place).name
