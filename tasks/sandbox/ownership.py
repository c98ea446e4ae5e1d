"""Who owns what a sandbox makes: names of processes that no later process can have."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

from tasks.sandbox.foreign_folders import remove


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
_PREFIX = "isobench-"


def private_folder() -> Path:
    """A new temporary folder of this process; what a killed process left goes when another one asks for its first."""
    _sweep()
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{OWNER}-"))


@lru_cache
def _sweep() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*.*-*"):
        if not owner_is_alive(left.name.removeprefix(_PREFIX).rsplit("-", 1)[0]):
            remove(left)
