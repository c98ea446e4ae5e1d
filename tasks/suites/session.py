"""The driver's side of running tests: a process in a sandbox, told what to run, believed only where it fits."""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from tasks.own_pytest import TOOLS_DIR
from tasks.sandbox.joined import joined
from tasks.sandbox.models import ARM_DIR, WORK_DIR, Arm, Limits, Mount, Process, Sandbox, SandboxError
from tasks.sandbox.probe.protocol import Bound, Line, read_lines, text_of, write_all
from tasks.suites.models import Outcome, Ran

START_TIMEOUT_S = 60.0
GRACE_S = 10.0
"""How much longer than its own limits the process inside may be silent."""
LONG_LINE = 1 << 22
"""Bytes of a line that lists tests."""
_PRIVATE = (WORK_DIR, "/tmp", "/dev/shm")
"""Folders that tests may write to; they are emptied after each process, so that none leaves word for the next."""
_FILES = ("canaries", "child", "below", "server")


class SuiteError(Exception):
    """No test can be run in this environment; the message says why."""


@dataclass(frozen=True)
class Chunk:
    """Tests for one process: all tests of some files, or some by name."""

    files: Sequence[str]
    tests: Sequence[str] | None = None
    """None: whatever is collected."""
    spoiled: dict[str, int] = field(default_factory=dict)
    """Test function (a node id without parameters) -> which of its assertions is spoiled."""
    limits: dict[str, float] = field(default_factory=dict)
    """Seconds for single tests."""
    test_s: float = 30.0
    """Seconds for each other test."""
    collect_s: float = 60.0
    total_s: float = 600.0
    reverse: bool = False
    targets: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    """Changed functions to look for: path -> first line, last line, name."""
    count: bool = False
    """Whether to count what could be spoiled."""


@dataclass
class Answer:
    """What came of a chunk."""

    collected: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    collect_s: float = 0.0
    """Seconds that it took to import pytest's settings and the files."""
    at_import: list[str] = field(default_factory=list)
    """Changed functions that ran while tests were collected."""
    tests: dict[str, Ran] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    """Tests for which there was no time."""
    ended: str = ""
    """How the process ended before it was done; empty if it did not."""
    altered: list[str] = field(default_factory=list)
    """What of pytest, unittest and the builtins was no longer itself at the end."""
    counted: dict[str, int] = field(default_factory=dict)


class SuiteSession:
    """Runs tests of one arm. A context manager; raises SuiteError where no test can be run, and SandboxError."""

    def __init__(
        self,
        sandbox: Sandbox,
        arm: Arm,
        work: Path,
        limits: Limits,
        *,
        tools: Path,
        added: Sequence[str] = (),
        hash_seed: int = 0,
    ) -> None:
        """`tools`: a folder with a pytest for environments without; `added`: top-level modules that only this arm has.

        The sandbox's own time limit is lifted: every answer is waited for so long and no longer.
        """
        self._sandbox = sandbox
        self._added = list(added)
        limits = limits.model_copy(update={"timeout_s": None})
        tool = Mount(source=tools, target=TOOLS_DIR)
        command = arm.command(work, ("-c", program()), mounts=(tool,), limits=limits)
        variables = {
            **command.variables,
            "PYTHONPATH": "",  # nothing of the arm runs before the first test is asked for
            "SUITE_ROOT": ARM_DIR,
            "SUITE_PATH": command.variables.get("PYTHONPATH", ""),
            "SUITE_TOOLS": TOOLS_DIR,
            "SUITE_CLEAN": ":".join(_PRIVATE if sandbox.isolated else _PRIVATE[:2]),
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONNOUSERSITE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
            "SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.0",
        }
        self._command = command.model_copy(update={"variables": variables})
        self._process: Process | None = None
        self._answers: queue.Queue[Line] = queue.Queue(2000)
        self.shadowed: list[str] = []

    def __enter__(self) -> SuiteSession:
        self._process = self._sandbox.start(self._command)
        bound = Bound(LONG_LINE)
        threading.Thread(target=read_lines, args=(self._process.stdout, self._answers, bound), daemon=True).start()
        try:
            self._send({"op": "hello", "names": self._added})
            hello = self._next(START_TIMEOUT_S)
            if hello is None:
                raise SandboxError(f"the process that runs tests does not start: {self._last_words()}")
            if "problem" in hello:
                advice = ": add it to environment.packages" if hello.get("brought") else ""
                raise SuiteError(f"the environment has no pytest that works{advice} ({text_of(hello['problem'])})")
            self.shadowed = [str(name) for name in hello.get("shadowed", [])]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self._process is not None

    def close(self) -> None:
        """End the process and all that it started. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.close(timeout_s=0.2)

    def run(self, chunk: Chunk) -> Answer:
        """Run a chunk in a process of its own. After `alive` is false no more chunks can be run."""
        found = Answer()
        token = secrets.token_hex(16)
        try:
            self._send(
                {
                    "op": "run", "files": list(chunk.files), "spoiled": chunk.spoiled, "limits": chunk.limits,
                    "tests": None if chunk.tests is None else list(chunk.tests), "reverse": chunk.reverse,
                    "test_s": chunk.test_s, "collect_s": chunk.collect_s, "total_s": chunk.total_s,
                    "targets": chunk.targets, "count": chunk.count,
                }
            )  # fmt: skip
            first = self._next(START_TIMEOUT_S)
            if first is None or first.get("started") is not True:
                raise _Lost
            # Told only now: the process that runs the tests was made before, and cannot have heard it.
            self._send({"token": token})
            silence_s = max([chunk.collect_s, chunk.test_s, *chunk.limits.values()]) + GRACE_S
            end = time.monotonic() + chunk.total_s + silence_s
            while self._take(found, self._next(min(silence_s, end - time.monotonic())), token):
                pass
        except (_Lost, OSError):
            self.close()
            found.ended = found.ended or "the process that runs the tests was ended or disturbed"
        return found

    def _take(self, found: Answer, answer: dict[str, Any] | None, token: str) -> bool:
        """Note what an answer says; false after the last one. Raises _Lost for what is no answer."""
        if answer is None or answer.get("token") != token:
            raise _Lost
        if "done" in answer:
            found.left, found.ended = _texts(answer, "left"), text_of(answer.get("ended", ""))
            found.altered = _texts(answer, "altered")
            counted = answer.get("counted")
            found.counted = {str(k): int(v) for k, v in counted.items()} if isinstance(counted, dict) else {}
            return False
        if "collected" in answer:
            found.collected, found.errors = _texts(answer, "collected"), _texts(answer, "errors")
            found.at_import, found.collect_s = _texts(answer, "functions"), float(answer.get("s", 0.0))
            return True
        outcome, seconds = answer.get("outcome"), answer.get("s")
        if outcome not in get_args(Outcome) or not isinstance(seconds, int | float) or answer.get("test") is None:
            raise _Lost
        found.tests[str(answer["test"])] = Ran(
            outcome=outcome, why=" ".join(text_of(answer.get("why", "")).split()), seconds=max(0.0, float(seconds)),
            functions=_texts(answer, "functions"), own=answer.get("own", True) is True,
        )  # fmt: skip
        return True

    def _send(self, request: dict[str, Any]) -> None:
        if self._process is None:
            raise _Lost
        write_all(self._process.stdin, json.dumps(request).encode() + b"\n")

    def _next(self, timeout_s: float) -> dict[str, Any] | None:
        """The next answer, or None: nothing more comes, in time or at all, or it is no object."""
        try:
            _, _, line = self._answers.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):  # END, too
            return None
        return answer if isinstance(answer, dict) else None

    def _last_words(self) -> str:
        if self._process is None:
            return ""
        ended = self._process.close(timeout_s=1.0)
        self._process = None
        return ended.stderr[-1000:].decode(errors="replace").strip() or f"exit code {ended.returncode}"


class _Lost(Exception):
    """The process inside is gone, or somebody else speaks through its pipe."""


def _texts(answer: dict[str, Any], name: str) -> list[str]:
    value = answer.get(name)
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def program() -> str:
    """Python source of what runs inside: its files, and their start."""
    return joined("tasks.suites.inside", Path(__file__).parent / "inside", _FILES, "<suite>")
