"""The machine that times: its fingerprint, and the lease of its cores."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from storage.ids import content_hash
from storage.tables import Machine

CORES_PER_SESSION = 2
"""Sets of processes alternate between this many cores, so that no verdict hangs on one core's neighbours."""


@lru_cache
def fingerprint() -> Machine:
    """What timings depend on. Equal machines with equal kernels and settings have equal ids."""
    facts = {
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_mb": round(psutil.virtual_memory().total / 2**20),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "python": platform.python_version(),
    }
    return Machine(machine_id=content_hash("machine", facts, length=12), seen_at=datetime.now(UTC), **facts)


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Hardware", "cpu model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _first_line(path: Path) -> str:
    try:
        return path.read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return ""


def core_groups(cores: list[int], size: int) -> list[tuple[int, ...]]:
    """Disjoint groups of at least `size` cores; one group of all if there are fewer."""
    count = max(1, len(cores) // size)
    groups = [tuple(cores[index * size : (index + 1) * size]) for index in range(count)]
    groups[-1] += tuple(cores[count * size :])
    return [group or tuple(cores) for group in groups]


@contextmanager
def leased_cores(wanted: int = CORES_PER_SESSION, folder: Path | None = None) -> Iterator[tuple[int, ...]]:
    """Cores that no other session of this machine uses meanwhile; waits until a group of them is free.

    `wanted` is the least number of cores of the group. The lease is a file lock in the system's folder for temporary
    files: it ends with the process, however that ends.
    """
    folder = folder or Path(tempfile.gettempdir())
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    groups = core_groups(available, max(wanted, CORES_PER_SESSION))
    while True:
        for group in groups:
            lock = FileLock(folder / f"isobench-cores-{group[0]}.lock", mode=0o666)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield group
            finally:
                lock.release()
            return
        time.sleep(0.05)


def pinning(cores: tuple[int, ...], process_set: int, width: int) -> tuple[int, ...]:
    """Cores of one set of processes: `width` neighbours, moving on by `width` with every set."""
    start = process_set * width
    return tuple(sorted({cores[(start + offset) % len(cores)] for offset in range(min(width, len(cores)))}))
