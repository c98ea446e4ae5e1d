"""Exclusive use: cores and devices that one session has for itself, and which of its processes runs where.

A lease is two things. A file lock per core, in the system's folder for temporary files: it ends with the process,
however that ends. And, where the caller gives a `Reserve` (the door does, with a Prefect server), slots under names
that all workers of the machine share, for workers in containers do not share /tmp.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from storage.ids import content_hash
from tasks.timing.holders import Patience

CORES_PER_SESSION = 2
"""Sets of processes alternate between this many cores, so that no verdict hangs on one core's neighbours."""
PATIENCE_S = 0.05
"""Pause between two looks for free cores; with a `Reserve`, which asks a server, RESERVE_PATIENCE_S."""
RESERVE_PATIENCE_S = 0.5

Reserve = Callable[[Sequence[str]], AbstractContextManager[None]]
"""Takes one slot under each of the names, or none and raises Busy; gives them back at the end of its context."""


class Busy(Exception):
    """Somebody else has it."""


def machine_name() -> str:
    """Name of this very machine since its boot, the same in all of its containers: `isobench-machine-<12 hex digits>`.

    Two machines of one kind have one fingerprint, but not one name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = os.uname().nodename
    return f"isobench-machine-{content_hash('boot', boot, length=12)}"


def core_groups(cores: list[int], size: int) -> list[tuple[int, ...]]:
    """Disjoint groups of at least `size` cores; one group of all if there are fewer."""
    count = max(1, len(cores) // size)
    groups = [tuple(cores[index * size : (index + 1) * size]) for index in range(count)]
    groups[-1] += tuple(cores[count * size :])
    return [group or tuple(cores) for group in groups]


@contextmanager
def leased_cores(
    wanted: int = CORES_PER_SESSION,
    folder: Path | None = None,
    reserve: Reserve | None = None,
    devices: Sequence[str] = (),
) -> Iterator[tuple[int, ...]]:
    """Cores, and `devices` by name, that no other session of this machine uses meanwhile; waits until they are free.

    `wanted` is the least number of cores of the group. Sessions that want groups of other sizes exclude each other too:
    every core of a group is locked.
    """
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    groups = core_groups(available, max(wanted, CORES_PER_SESSION))
    folder = folder or Path(tempfile.gettempdir())
    patience = Patience()
    while True:
        for group in groups:
            with ExitStack() as held:
                try:
                    _take(held, group, folder, reserve, devices)
                except Busy:
                    continue
                yield group
                return
        patience.tell(
            [folder / f"{name}.lock" for name in (*(f"isobench-core-{core}" for core in available), *devices)]
        )
        time.sleep(RESERVE_PATIENCE_S if reserve else PATIENCE_S)


def _take(held: ExitStack, group: Sequence[int], folder: Path, reserve: Reserve | None, devices: Sequence[str]) -> None:
    """All of it or nothing: raises Busy, and `held` gives back what was taken. In one order, so that nobody waits."""
    files = [f"isobench-core-{core}" for core in group] + list(devices)
    for name in files:
        lock = FileLock(folder / f"{name}.lock", mode=0o666)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise Busy(name) from None
        held.callback(lock.release)
    if reserve is not None:
        machine = machine_name()
        held.enter_context(reserve([*(f"{machine}-core-{core}" for core in group), *devices]))


def pinning(cores: tuple[int, ...], process_set: int, width: int) -> tuple[int, ...]:
    """Cores of one set of processes: `width` neighbours, moving on by `width` with every set."""
    start = process_set * width
    return tuple(sorted({cores[(start + offset) % len(cores)] for offset in range(min(width, len(cores)))}))
