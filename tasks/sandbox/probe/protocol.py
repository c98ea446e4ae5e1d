"""What comes out of a probe's pipe: lines, and values in them, none of which is believed to be well-formed."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal

from tasks.sandbox.probe.accounting import thread_wait_ns

ErrorKind = Literal[
    "syntax", "missing_function", "exception", "timeout", "died", "protocol", "unserialisable"
]  # fmt: skip
MAX_NS = 10**15
"""No call takes longer (eleven days)."""
MAX_TEXT = 8000
"""Characters of a message or a traceback."""
MAX_UNASKED = 8
"""Lines that may lie unread: a probe answers one request with one line."""
MAX_RESULT = 256 * 1024 * 1024
"""Bytes of a result at most: `encoding.MAX_BYTES`."""
SMALL = 1024 * 1024
"""Bytes of an answer that holds no result: numbers, and a few texts of MAX_TEXT characters."""
END = b""
"""Stands for the end of what a process says; every line has at least its line feed."""
OVERLONG = b"\0"
"""Stands for an answer that is longer than was allowed, and is read no further."""
_BLOB = re.compile(rb'\{"id": "([0-9a-f]+)", "ok": true, "blob": "([A-Za-z0-9+/=]*)"\}\n')


class ProbeError(Exception):
    """A perf test or its process failed: a result about the arm, not a fault of the sandbox.

    `kind`: `syntax`, `missing_function`, `exception` (the script's, with `traceback`), `unserialisable` (the result has
    no safe encoding), `timeout`, `died` (the process ended), `protocol` (it answered what was not asked).
    """

    def __init__(self, kind: ErrorKind, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class CheckFailed(Exception):
    """check_equivalence did not accept the candidate; the message is the script's."""


Line = tuple[int, int, bytes]
"""When a line arrived, for how long its reader waited for a core while it was reading it, and the line."""


@dataclass
class Bound:
    """How many bytes the next answer may have. The driver sets it with each request: its memory is not the arm's."""

    most: int = SMALL


def read_lines(stdout: Any, answers: queue.Queue[Line], bound: Bound) -> None:
    """Put a `Line` for every line, and one with END (or OVERLONG) at the end.

    Who writes more lines than it was asked for is read no further, and then stands still with a full pipe.
    """
    read = getattr(stdout, "read1", stdout.read)
    this = threading.get_native_id()
    parts: list[bytes] = []
    size = 0
    last = END
    try:
        # Taken by the reader itself: the kernel counts a wait when it is over, so whoever looks at a thread that is
        # still waiting since an earlier answer would count that to the next one.
        before = thread_wait_ns(this)
        while data := read(1 << 20):
            waited = thread_wait_ns(this) - before  # first: no wait after the arrival may count
            arrived = time.perf_counter_ns()
            *lines, rest = data.split(b"\n")
            for line in lines:
                answers.put_nowait((arrived, waited, b"".join([*parts, line, b"\n"])))
                parts, size = [], 0
            if lines:
                before = thread_wait_ns(this)
            parts.append(rest)
            size += len(rest)
            if size > bound.most:
                last = OVERLONG
                break
    except (OSError, ValueError, queue.Full):
        pass  # closed while reading: the end, like any other
    with contextlib.suppress(queue.Full):
        answers.put_nowait((time.perf_counter_ns(), 0, last))


def write_all(stdin: Any, data: bytes, quiet: bool = False) -> None:
    """Write to an unbuffered pipe. `quiet`: a broken one is told by the answer that does not come."""
    try:
        view = memoryview(data)
        while view:
            view = view[stdin.write(view) :]
        stdin.flush()
    except (OSError, ValueError):
        if not quiet:
            raise


def line_of(blob_bytes: int) -> int:
    """Length of the answer that holds a result of so many bytes."""
    return blob_bytes * 4 // 3 + SMALL


def parsed(line: bytes) -> Any:
    """The answer, or None if it is none.

    A long one must be a result in exactly the probe's words: as JSON, any text could become objects of fifty times its
    size in memory.
    """
    if len(line) > SMALL:
        found = _BLOB.fullmatch(line)
        return None if found is None else {"id": found[1].decode(), "ok": True, "blob": found[2].decode()}
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def text_of(value: object) -> str:
    """Text from inside that any file and any column can hold."""
    return str(value)[-MAX_TEXT:].encode("utf-8", "replace").decode()


def duration(answer: dict[str, Any], name: str) -> int:
    """A duration in nanoseconds."""
    value = int(field(answer, name, int))
    if not 0 <= value <= MAX_NS:
        raise ProbeError("protocol", f"the answer's {name} is no duration")
    return value


def field(answer: dict[str, Any], name: str, kind: type) -> Any:
    """A value of exactly this type."""
    value = answer.get(name)
    if type(value) is not kind:
        raise ProbeError("protocol", f"the answer's {name} is not {kind.__name__}")
    return value


def maybe(answer: dict[str, Any], name: str, kind: type) -> Any:
    """The same, where None or nothing may stand."""
    return None if answer.get(name) is None else field(answer, name, kind)
