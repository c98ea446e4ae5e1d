"""What a command's whole tree uses, for machines without control groups, where a limit holds for each process alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from tasks.sandbox.metering.processes import tree
from tasks.sandbox.models import WORK_DIR, Limits

EVERY_S = 0.5
"""How often to look."""
_FOLDERS = ("/tmp", WORK_DIR, "/dev/shm")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEBIBYTE = 1024 * 1024

Overused = Literal["memory", "processes"]


def overused(root: int, limits: Limits) -> Overused | None:
    """What the tree below process `root` has more of than it may, at this moment; None if nothing."""
    pids = list(tree(root))
    # The shell that starts bubblewrap, and bubblewrap's own two, count too.
    if len(pids) > limits.pids + 3:
        return "processes"
    most = limits.memory_mb * _MEBIBYTE - _in_folders(pids[-1])
    # Pages that forked processes share count once for each here: only a tree that seems too large is worth the
    # accurate reading, which takes the kernel milliseconds.
    if sum(map(_private, pids)) > most and sum(map(_proportional, pids)) > most:
        return "memory"
    return None


def _private(pid: int) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0  # it ended meanwhile
    return (int(resident) - int(shared)) * _PAGE


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


def _in_folders(pid: int) -> int:
    """Bytes in the private folders that the process sees: they are memory of the machine."""
    found = 0
    for folder in _FOLDERS:
        inside = f"/proc/{pid}/root{folder}"
        try:
            if os.stat(inside).st_dev != os.stat("/").st_dev and not _is_ours(inside, folder):
                space = os.statvfs(inside)
                found += (space.f_blocks - space.f_bfree) * space.f_frsize
        except OSError:
            continue
    return found


def _is_ours(inside: str, folder: str) -> bool:
    """Whether the folder is this process's own, as without bubblewrap."""
    return os.path.isdir(folder) and os.path.samefile(inside, folder)
