"""What a reading of each meter costs, and how late it is.

    python -m tests.benchmarks.meters

`reading` is `Process.cpu_ns`, `all` what a request reads before and after it (`accounting.Account`), in microseconds,
median and 99th percentile of 400. `late` is what a reading right after an answer lacks: the growth within 20 ms while
the command sleeps, which holds its way to sleep too; median and most of 40. `step` is the largest jump of the count
while a thread goes on working beside a sleeping probe: the most that a reading may lack of it; median and most of 10.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from unittest.mock import patch

from tasks.sandbox.docker.engine import default_image
from tasks.sandbox.docker.sandbox import DockerSandbox
from tasks.sandbox.local import cgroups
from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.metering.hierarchies import UNIFIED, group_of
from tasks.sandbox.metering.worker import WorkerGroup
from tasks.sandbox.models import Command, Process, Sandbox, SandboxError
from tasks.sandbox.probe.accounting import Account

READINGS = 400
CODE = """
import os, sys, threading, time
def spin(end):
    while time.monotonic() < end:
        pass
print(os.getpid(), flush=True)
for line in sys.stdin:
    if line == "work\\n":
        spin(time.monotonic() + 0.02)
    else:
        threading.Thread(target=spin, args=(time.monotonic() + 0.05,), daemon=True).start()
        time.sleep(0.01)
    print("done", flush=True)
"""


def main() -> None:
    """Print a table; what is not here is left out."""
    print("| meter | reading, us | all, us | late, us | step, us |\n|---|---|---|---|---|")
    for name, place, opened in _kinds():
        placed = patch.object(cgroups, "find_metering", lambda place=place: place)
        with suppress(SandboxError), placed, opened() as sandbox:
            print(f"| {name} | {' | '.join(_figures(sandbox))} |")


def _kinds() -> Iterator[tuple[str, Path | None, Callable[[], LocalSandbox | DockerSandbox]]]:
    place = cgroups.find_metering()
    if place is not None:
        yield "own group", place, LocalSandbox
        yield "own group, not isolated", place, lambda: LocalSandbox(use_bubblewrap=False)
    if (unified := group_of("self", UNIFIED)) is not None and cgroups._counts(unified):
        yield "own group, version 2", unified, LocalSandbox
    yield "container's group", place, DockerSandbox
    yield "processes", None, LocalSandbox


def _figures(sandbox: Sandbox) -> list[str]:
    python = "python3" if sandbox.kind == "docker" else f"{sys.base_prefix}/bin/python3"
    process = sandbox.start(Command(argv=(python, "-c", CODE), image=default_image()))
    account = Account(process, int(process.stdout.readline()))
    figures = [_cost(process.cpu_ns), _cost(account.read), _late(process), _step(process)]
    if process.meter.name == "processes" and (worker := WorkerGroup.find()):
        figures[0] += f"; the rest of {worker.name}: {_cost(lambda: worker.read([process]))}"
    process.close(0)
    return figures


def _cost(read: Callable[[], object]) -> str:
    taken = []
    for _ in range(READINGS):
        start = time.perf_counter_ns()
        read()
        taken.append((time.perf_counter_ns() - start) / 1000)
    return f"{median(taken):.0f} ({sorted(taken)[int(0.99 * READINGS)]:.0f})"


def _used(process: Process) -> int:
    return process.cpu_ns() or 0


def _tell(process: Process, what: bytes) -> None:
    process.stdin.write(what + b"\n")
    process.stdout.readline()


def _late(process: Process) -> str:
    more = []
    for _ in range(40):
        _tell(process, b"work")
        first = _used(process)
        time.sleep(0.02)
        more.append((_used(process) - first) / 1000)
    return f"{median(more):.0f} ({max(more):.0f})"


def _step(process: Process) -> str:
    largest = []
    for _ in range(10):
        _tell(process, b"thread")
        seen, end = [_used(process)], time.perf_counter() + 0.03
        while time.perf_counter() < end:
            seen.append(_used(process))
        largest.append(max(after - before for before, after in pairwise(seen)) / 1000)
        time.sleep(0.05)
    return f"{median(largest):.0f} ({max(largest):.0f})"


if __name__ == "__main__":
    main()
