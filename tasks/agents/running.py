"""One agent at work: started in its sandbox, its output kept, ended by itself or by a limit."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from tasks.sandbox.foreign import MEBIBYTE
from tasks.sandbox.models import Command, Process, Sandbox
from tasks.sandbox.streams import CHUNK, Tail

GRACE_S = 20.0
"""How long an agent may go on when the gateway has ended its attempt: it hears of it at its next request."""
LEAST_FREE_BYTES = 512 * MEBIBYTE
"""An attempt ends when the disk with its folders has less left: other attempts and results need it."""
_LOOK_S = 0.2
_DISK_EVERY_S = 2.0
_FEW_PROCESSES = b"ended: it had more processes than it may"

How = Literal["itself", "clock", "gateway", "disk", "memory", "processes", "killed"]
"""What ended it. `gateway`: it went on after the gateway had ended the attempt; `killed`: by whom is not known."""


@dataclass(frozen=True)
class Ended:
    """How an agent ended."""

    how: How
    returncode: int | None
    """A hint only. None if it was killed."""
    seconds: float
    stderr: bytes = b""
    """Its last output there."""
    printed_bytes: int = 0
    dropped_bytes: int = 0
    """Of what it printed, the part in the middle that was not kept."""
    disk_bytes: int = 0
    """What its folders took when they were looked at last."""

    @property
    def last_line(self) -> str:
        """What it said last on stderr, for a reason."""
        lines = [line.strip() for line in self.stderr.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""


@dataclass(frozen=True)
class Bounds:
    """What an agent may not exceed, beside its sandbox's limits."""

    seconds: float
    folder: Path
    """Holds all that it writes."""
    disk_bytes: int
    """Of that folder, beyond what it holds at the start."""
    output_bytes: int
    """Kept of what it prints: half from the beginning, half from the end."""


def run_agent(
    sandbox: Sandbox, command: Command, stdin: bytes, log: Path, bounds: Bounds, stopped: Callable[[], object]
) -> Ended:
    """Run to the end. What it prints goes to `log`, a new file. `stopped` says whether its gateway has ended it.

    Everything that it started has ended, too, when this returns or raises. Raises SandboxError if the sandbox itself
    fails, or if this process is ending: then nothing was found out.
    """
    disk = _Disk(bounds)
    # our own clock decides; the sandbox's is for the case that this thread does not get to it
    limits = command.limits.model_copy(update={"timeout_s": bounds.seconds + 120})
    started = time.monotonic()
    process = sandbox.start(command.model_copy(update={"limits": limits}))
    output = _Output(process, log, bounds.output_bytes)
    try:
        threading.Thread(target=_feed, args=(process, stdin), daemon=True).start()
        how = _watched(process, started + bounds.seconds, disk, stopped)
    finally:
        done = process.close(0)
        output.finish()
    if how == "itself" and done.returncode in (None, 137):
        if done.timed_out:
            how = "clock"
        elif done.out_of_memory:
            how = "memory"
        elif _FEW_PROCESSES in done.stderr[-200:]:
            how = "processes"
        elif done.returncode is None:
            how = "killed"
    code = done.returncode if how == "itself" else None
    seconds = time.monotonic() - started
    return Ended(how, code, seconds, done.stderr, output.printed, output.dropped, disk.taken)


def _watched(process: Process, end: float, disk: _Disk, stopped: Callable[[], object]) -> How:
    """Until it ends, or has to."""
    stopped_at: float | None = None
    while process.poll() is None:
        now = time.monotonic()
        if now >= end:
            return "clock"
        if stopped_at is None and stopped():
            stopped_at = now
        if stopped_at is not None and now >= stopped_at + GRACE_S:
            return "gateway"
        if disk.is_full(now):
            return "disk"
        time.sleep(min(_LOOK_S, max(0.0, end - now)))
    return "itself"


class _Disk:
    """Looks at what a folder takes, now and then: as rarely as keeps looking cheap."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._next = 0.0
        self._first = self.taken = _bytes_in(bounds.folder)
        self._may_fill = _free_bytes(bounds.folder) > LEAST_FREE_BYTES

    def is_full(self, now: float) -> bool:
        if now < self._next:
            return False
        started = time.monotonic()
        self.taken = _bytes_in(self._bounds.folder) or self.taken
        self._next = time.monotonic() + max(_DISK_EVERY_S, 20 * (time.monotonic() - started))
        too_full = self._may_fill and _free_bytes(self._bounds.folder) < LEAST_FREE_BYTES
        return too_full or self.taken - self._first > self._bounds.disk_bytes


def _bytes_in(folder: Path) -> int:
    """What a folder takes on the disk. Files come and go meanwhile, and none is opened: `du` minds neither."""
    argv = ["du", "-s", "-k", "-x", "--", str(folder)]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, ValueError):
        done = subprocess.run(argv, capture_output=True, check=False, timeout=120)
        return int(done.stdout.split()[0]) * 1024 if done.stdout.strip() else 0
    return 0


def _free_bytes(folder: Path) -> int:
    """Of the folder's disk, for this user."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


class _Output:
    """Keeps the beginning and the end of what a process prints, in a file."""

    def __init__(self, process: Process, log: Path, most: int) -> None:
        self._half = most // 2
        self._tail = Tail(most - self._half)
        self.printed = self.dropped = 0
        self._file: IO[bytes] = log.open("xb")
        self._thread = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := stream.read(CHUNK):
                room = max(0, self._half - self.printed)
                self.printed += len(data)
                if room:
                    self._file.write(data[:room])
                if data[room:]:
                    self._tail.write(data[room:])

    def finish(self) -> None:
        """When the process has ended."""
        self._thread.join(10)
        end = self._tail.value()
        self.dropped = max(0, self.printed - self._half - len(end))
        with contextlib.suppress(ValueError), self._file:
            if self.dropped:
                self._file.write(b"\n[... %d bytes are left out here ...]\n" % self.dropped)
            self._file.write(end)


def _feed(process: Process, data: bytes) -> None:
    """Give it its input and close it: an agent that reads on must not wait for ever."""
    with contextlib.suppress(OSError, ValueError):
        view = memoryview(data)
        while view:
            view = view[process.stdin.write(view[:CHUNK]) or 0 :]
    with contextlib.suppress(OSError, ValueError):
        process.stdin.close()
