"""What both sandboxes share: bounded output, and running a command to its end over a started process."""

from __future__ import annotations

import threading
from typing import IO, Protocol

from tasks.sandbox.models import Completed

MEBIBYTE = 1024 * 1024
CHUNK = 256 * 1024
TAIL_BYTES = 64 * 1024
"""How much of stderr `Process.stderr_tail` shows."""


class Tail:
    """The last `limit` bytes of a stream. Safe to write in one thread and read in another."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.dropped = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Add data, forgetting the oldest."""
        with self._lock:
            self._chunks.append(data)
            self._size += len(data)
            # Compact rarely: joining at every write would make a flood quadratic.
            if self._size > 2 * self.limit:
                self._compact()

    def _compact(self) -> None:
        joined = b"".join(self._chunks)
        if len(joined) > self.limit:
            self.dropped = True
            joined = joined[-self.limit :]
        self._chunks = [joined]
        self._size = len(joined)

    def value(self, limit: int | None = None) -> bytes:
        """What is kept, or the last `limit` bytes of it."""
        with self._lock:
            self._compact()
            kept = self._chunks[0]
        return kept if limit is None else kept[-limit:]


def drain(stream: IO[bytes], tail: Tail) -> None:
    """Read a stream to its end into `tail`; a broken stream is an ended one."""
    try:
        while data := stream.read(CHUNK):
            tail.write(data)
    except (OSError, ValueError):
        pass


class Runnable(Protocol):
    """What `run_to_end` needs of a process: pipes, and a time limit that the process enforces on itself."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    abandoned: bool

    def close(self, timeout_s: float = 2.0) -> Completed:
        """See `tasks.sandbox.models.Process`."""

    def wait(self) -> None:
        """Until it ended, by itself or killed at its time limit, and its output is closed."""


def run_to_end(process: Runnable, stdin: bytes, output_bytes: int) -> Completed:
    """Feed stdin, keep the first `output_bytes` of stdout, and say how it ended."""
    feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
    feeder.start()
    kept = bytearray()
    truncated = False
    try:
        while data := process.stdout.read(CHUNK):
            room = output_bytes - len(kept)
            truncated = truncated or len(data) > room
            kept += data[: max(room, 0)]
        process.wait()
    finally:
        completed = process.close(timeout_s=0)
        feeder.join(timeout=5)
    return completed.model_copy(update={"stdout": bytes(kept), "truncated": completed.truncated or truncated})


def _feed(stream: IO[bytes], data: bytes) -> None:
    try:
        view = memoryview(data)
        while view:
            view = view[stream.write(view[:CHUNK]) or 0 :]
        stream.close()
    except (OSError, ValueError):
        pass  # the process ended, or closed its stdin: its result says how
