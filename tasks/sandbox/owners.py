"""Who owns what a sandbox makes: names of processes that no later process can have."""

from __future__ import annotations

import os
from pathlib import Path


def _start_time(pid: int) -> str | None:
    """Kernel's start time of a process, in clock ticks since boot; None if there is no such process, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def owner_of(pid: int) -> str:
    """Name of a living process: `<pid>.<start time>`."""
    return f"{pid}.{_start_time(pid)}"


def owner_is_alive(owner: str) -> bool:
    """Whether the process of that name still runs. Names that are none belong to nobody."""
    pid, _, started = owner.partition(".")
    return pid.isdigit() and _start_time(int(pid)) == started


OWNER = owner_of(os.getpid())
"""This process."""
