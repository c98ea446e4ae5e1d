"""The fingerprint of the machine that times, and of what a session ran in."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from storage.ids import content_hash
from storage.tables import Machine


def fingerprint(gpus: Sequence[str] = ()) -> Machine:
    """What timings depend on, as of now. Equal machines with equal kernels and settings have equal ids.

    `gpus` are descriptions of the cards, where timings depend on them.
    """
    facts: dict[str, Any] = {
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_mb": round(psutil.virtual_memory().total / 2**20),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "python": platform.python_version(),
    }
    if gpus:
        facts["gpus"] = list(gpus)
    return Machine(machine_id=content_hash("machine", facts, length=12), seen_at=datetime.now(UTC), **facts)


def session_fingerprint(machine_id: str, sandbox: str, images: Iterable[str], meter: str) -> str:
    """Hash of the machine, of what the arms ran in (kind of sandbox, digests of container images; none locally), and of
    what counted their CPU time, since another meter sees other things.

    12 hex digits. Sessions with different ones may not be compared.
    """
    return content_hash("fingerprint", machine_id, sandbox, sorted(set(images)), meter, length=12)


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
