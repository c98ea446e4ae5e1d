"""One process that runs tests, seen from the process above it. Runs inside a sandbox.

Standard library only, syntax of Python 3.8. Of what the process below says, only lines of bounded length in time are
taken, each with the number of the question.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import contextlib
import ctypes
import json
import os
import secrets
import select
import shutil
import signal
import time
from typing import Any, Dict, List

LINE, LONG = 1 << 18, 1 << 21
"""Bytes that a process may answer: about a test, and about what it collected."""


class Ended(Exception):
    """The process below is gone, or says what it was not asked."""


def guard(closed: bool) -> None:
    """Close this process's memory and files to others, or open them."""
    if ctypes.CDLL(None).prctl(4, 0 if closed else 1, 0, 0, 0):  # PR_SET_DUMPABLE
        raise OSError("this process cannot be closed to others")


class Below:
    """One process that runs tests."""

    def __init__(self, pid: int, asked: int, told: int) -> None:
        self.pid, self.asked, self.told, self.pending = pid, asked, told, b""

    def ask(self, request: Dict[str, Any], timeout_s: float) -> Any:
        """Its answer to one request, or None when its time is up. Raises Ended."""
        nonce = secrets.token_hex(16)
        if self.pending or select.select([self.told], [], [], 0)[0]:
            raise Ended(self.last_words("answers without being asked"))
        try:
            os.write(self.asked, json.dumps(dict(request, nonce=nonce)).encode() + b"\n")
        except OSError:
            raise Ended("its process ended") from None
        answer = self.listen(timeout_s, LINE)
        if answer is not None and answer.get("nonce") != nonce:
            raise Ended("answers what it was not asked")
        return answer

    def last_words(self, otherwise: str) -> str:
        """What there is to read may be the end."""
        return otherwise if self.pending or os.read(self.told, 1) else "its process ended"

    def listen(self, timeout_s: float, most: int) -> Any:
        """The next line as an object, or None when the time is up. Raises Ended."""
        end = time.monotonic() + timeout_s
        while b"\n" not in self.pending:
            if not select.select([self.told], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            data = os.read(self.told, 65536)
            if not data:
                raise Ended("its process ended")
            self.pending += data
            if len(self.pending) > most:
                raise Ended("says too much")
        line, _, self.pending = self.pending.partition(b"\n")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise Ended("says what is no answer") from None
        if not isinstance(answer, dict):
            raise Ended("says what is no answer")
        return answer

    def end(self) -> None:
        """End it and everything that it started."""
        os.close(self.asked)
        os.close(self.told)
        for process in (self.pid, *children()):
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(OSError):
                    kill(process, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def children() -> List[int]:
    """Processes below this one; those that lost their parent are handed to it."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return []


def empty(folder: str) -> None:
    """Remove what is in a folder, also what was closed to its owner."""
    for above, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(above, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
