"""The driver's side of a probe: starts it in a sandbox, asks it, and believes only well-formed answers in time."""

from __future__ import annotations

import base64
import json
import queue
import secrets
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tasks.sandbox.models import ARM_DIR, Arm, Limits, Process, Sandbox

ErrorKind = Literal[
    "syntax", "missing_function", "exception", "timeout", "died", "protocol", "unserialisable"
]  # fmt: skip
Dialect = Literal["isobench", "gso", "command"]
"""Forms of perf tests. `command` is no script: `tasks.sandbox.commands` runs those."""
MAX_ANSWER = 400 * 1024 * 1024
"""Bytes of one answer at most: a result of `encoding.MAX_BYTES` in base64."""
START_TIMEOUT_S = 60.0

_FILES = ("encoding", "dialects", "probe")
_BOOT = """import sys, types
for name, text in {sources!r}:
    module = sys.modules["tasks.sandbox." + name] = types.ModuleType(name)
    exec(compile(text, "<probe>", "exec"), module.__dict__)
sys.modules["tasks.sandbox.probe"].main()
"""


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


class SetupInfo(BaseModel):
    """What a setup built."""

    model_config = ConfigDict(frozen=True)

    digest: str | None
    """Hash of the (first) state; None where it has no safe encoding, in the gso dialect, or if not asked for."""
    wall_ns: int
    """Time that setup took, by the probe's clock, for all states."""


class Timed(BaseModel):
    """One timed batch of calls, by several clocks."""

    model_config = ConfigDict(frozen=True)

    wall_ns: int
    """The probe's clock."""
    cpu_ns: int
    """CPU time of the process, its threads and its finished children."""
    wait_ns: int = 0
    """Time in which the call was ready to run while its core ran something else, by the kernel; 0 where it is unknown.
    Waiting for threads and children of its own is not counted."""
    outside_ns: int
    """The driver's clock, from sending the request to reading the answer; the pipe costs it what `ping` costs."""
    gpu_ns: int | None = None
    flags: list[str] = []
    """`threads_left`: more threads after the call than before it. `no_gpu_clock`: torch is not loaded."""


class ProbeSession:
    """One perf test in one process of one arm. A context manager: the process ends with it, whatever happens.

    Every method raises ProbeError. After `timeout`, `died` and `protocol` the process is gone and further calls raise
    `died`. Entering starts the process and does not wait for it, so several can start at once.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        arm: Arm,
        work: Path,
        *,
        cpus: tuple[int, ...] | None = None,
        limits: Limits | None = None,
        hash_seed: int = 0,
        timeout_s: float = 120.0,
        checker: bool = False,
    ) -> None:
        """`work` is `Store.work`; `timeout_s` bounds every call; `checker` makes it a process that compares results.

        The sandbox's own time limit covers the whole session and is lifted: calls are bounded one by one.
        """
        self.arm = arm
        self._timeout_s = timeout_s
        self._sandbox = sandbox
        limits = (limits or Limits()).model_copy(update={"timeout_s": None})
        command = arm.command(work, ("-c", probe_text()), cpus=cpus, limits=limits)
        paths = command.variables.get("PYTHONPATH", "")
        variables = {
            **command.variables,
            "PYTHONPATH": "",  # the arm's sitecustomize must not run before the probe
            "PROBE_PATH": paths,
            "PROBE_ROOT": ARM_DIR,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONNOUSERSITE": "1",
        }
        self._command = command.model_copy(update={"variables": variables})
        self._checker = checker
        self._process: Process | None = None
        self._greeted = False
        self._answers: queue.Queue[tuple[int, bytes]] = queue.Queue()

    def __enter__(self) -> ProbeSession:
        self._process = self._sandbox.start(self._command)
        threading.Thread(target=read_lines, args=(self._process.stdout, self._answers), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.close(timeout_s=0.2)

    def load(self, script: str, dialect: Dialect = "isobench") -> None:
        """Execute the script's top level, imports included."""
        if dialect == "command":
            raise ProbeError("syntax", "a command is no script")
        self._ask("load", script=script, dialect=dialect)

    def setup(self, seed: int, count: int = 1, digest: bool = True) -> SetupInfo:
        """Build the workloads of `seed`, `seed + 1`, ... (`count` of them); untimed."""
        answer = self._ask("setup", seed=seed, count=count, digest=digest)
        return SetupInfo(digest=_maybe(answer, "digest", str), wall_ns=_field(answer, "wall_ns", int))

    def run(self, number: int = 1, device: str = "cpu") -> Timed:
        """Call the experiment `number` times, on the workloads in turn. `cuda` adds device events where torch is."""
        answer = self._ask("run", number=number, device=device)
        flags = _field(answer, "flags", list)
        return Timed(
            wall_ns=_field(answer, "wall_ns", int),
            cpu_ns=_field(answer, "cpu_ns", int),
            wait_ns=_field(answer, "wait_ns", int),
            outside_ns=answer["outside_ns"],
            gpu_ns=_maybe(answer, "gpu_ns", int),
            flags=[str(flag)[:80] for flag in flags[:20]],
        )

    def result(self, index: int = 0) -> bytes:
        """Result of call `index` of the last run, for `check` of another session. Never read by the driver."""
        try:
            return base64.b64decode(_field(self._ask("result", index=index), "blob", str), validate=True)
        except ValueError as error:
            raise self._broken(f"the result is not base64: {error}") from error

    def result_digest(self, index: int = 0) -> str:
        """Hash of what `result` would give: equal digests need no comparison."""
        return str(_field(self._ask("digest", index=index), "digest", str))

    def check(self, reference: bytes, candidate: bytes) -> None:
        """Compare two results with the script's check_equivalence. Raises CheckFailed if it rejects the candidate.

        Meant for a process of its own, with the base code, that never ran an experiment (`checker=True`).
        """
        blobs = {name: base64.b64encode(blob).decode() for name, blob in (("r", reference), ("c", candidate))}
        self._ask("check", reference=blobs["r"], candidate=blobs["c"])

    def trace(self, seed: int, with_setup: bool = True) -> dict[str, list[int]]:
        """Lines that one experiment (and its setup) executes, by path relative to the checkout."""
        lines = _field(self._ask("trace", seed=seed, with_setup=with_setup), "lines", dict)
        return {str(path): [int(number) for number in numbers] for path, numbers in lines.items()}

    def ping(self) -> int:
        """Nanoseconds of an empty request, by the driver's clock: what `outside_ns` costs by itself."""
        return int(self._ask("ping")["outside_ns"])

    def _ask(self, op: str, **args: Any) -> dict[str, Any]:
        if not self._greeted:
            self._greeted = True
            self._exchange("hello", START_TIMEOUT_S, checker=self._checker)
        return self._exchange(op, self._timeout_s, **args)

    def _exchange(self, op: str, timeout_s: float, **args: Any) -> dict[str, Any]:
        if self._process is None:
            raise ProbeError("died", "the process has ended")
        nonce = secrets.token_hex(16)
        data = json.dumps({"id": nonce, "op": op, "args": args}).encode() + b"\n"
        start = time.perf_counter_ns()
        try:
            self._send(data)
            arrived, line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.close()
            raise ProbeError("timeout", f"{op} took longer than {timeout_s:g} s") from None
        except OSError:
            line = b""
        if not line:
            raise self._died(op)
        try:
            answer = json.loads(line)
            genuine = isinstance(answer, dict) and answer.get("id") == nonce
        except ValueError:
            genuine = False
        if not genuine:
            raise self._broken(f"an answer to {op} that is not the probe's")
        if answer.get("ok") is not True:
            kind, message = str(answer.get("kind")), str(answer.get("message"))
            if kind == "mismatch":
                raise CheckFailed(message)
            raise ProbeError(kind, message, str(answer.get("trace", "")))  # type: ignore[arg-type]
        return {**answer, "outside_ns": arrived - start}

    def _send(self, data: bytes) -> None:
        assert self._process is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]
        self._process.stdin.flush()

    def _died(self, op: str) -> ProbeError:
        process, self._process = self._process, None
        assert process is not None
        ended = process.close(timeout_s=1.0)
        why = "out of memory" if ended.out_of_memory else f"exit code {ended.returncode}"
        tail = ended.stderr[-2000:].decode(errors="replace").strip()
        return ProbeError("died", f"the process ended during {op} ({why})", tail)

    def _broken(self, message: str) -> ProbeError:
        self.close()
        return ProbeError("protocol", message)


@lru_cache
def probe_text() -> str:
    """Python source that defines the probe from its files and runs it."""
    folder = Path(__file__).parent
    return _BOOT.format(sources=[(name, (folder / f"{name}.py").read_text()) for name in _FILES])


def read_lines(stdout: Any, answers: queue.Queue[tuple[int, bytes]]) -> None:
    """Put (arrival time, line) for every line, and an empty line at the end."""
    read = getattr(stdout, "read1", stdout.read)
    parts: list[bytes] = []
    size = 0
    try:
        while data := read(1 << 20):
            arrived = time.perf_counter_ns()
            *lines, rest = data.split(b"\n")
            for line in lines:
                answers.put((arrived, b"".join([*parts, line])))
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > MAX_ANSWER:
                break
    except (OSError, ValueError):
        pass  # closed while reading: the end, like any other
    answers.put((time.perf_counter_ns(), b""))


def _field(answer: dict[str, Any], name: str, kind: type) -> Any:
    value = answer.get(name)
    if type(value) is not kind:
        raise ProbeError("protocol", f"the answer's {name} is not {kind.__name__}")
    return value


def _maybe(answer: dict[str, Any], name: str, kind: type) -> Any:
    return None if answer.get(name) is None else _field(answer, name, kind)
