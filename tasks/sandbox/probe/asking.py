"""The process of a probe: started in a sandbox, asked line by line, believed only if well-formed and in time."""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Self, cast, get_args

from tasks.sandbox.joined import joined
from tasks.sandbox.models import ARM_DIR, Arm, Limits, Process, Sandbox
from tasks.sandbox.probe.accounting import Watch
from tasks.sandbox.probe.protocol import (
    END,
    MAX_UNASKED,
    OVERLONG,
    Bound,
    CheckFailed,
    ErrorKind,
    Line,
    ProbeError,
    field,
    parsed,
    read_lines,
    text_of,
    write_all,
)

START_TIMEOUT_S = 60.0
"""Until a probe stands ready."""
PIPE_BYTES = 60_000
"""A request of this size fits a pipe that nobody reads."""

_FILES = (
    "records",
    "encoding",
    "fingerprint",
    "dialects",
    "own",
    "pickles",
    "storing",
    "structure",
    "comparing",
    "tracing",
    "probe",
)


class ProbeProcess:
    """Starts, is asked, and ends; `ProbeSession` knows the questions."""

    def __init__(
        self,
        sandbox: Sandbox,
        arm: Arm,
        work: Path,
        *,
        cpus: tuple[int, ...] | None = None,
        starts_on: tuple[int, ...] | None = None,
        limits: Limits | None = None,
        hash_seed: int = 0,
        timeout_s: float = 120.0,
        checker: bool = False,
    ) -> None:
        """`work` is `Store.work`; `timeout_s` bounds every call; `checker` makes it a process that compares results.

        `cpus`: cores that it is pinned to before anything of the arm runs; `starts_on`: where it may start meanwhile.

        The sandbox's own time limit covers the whole session and is lifted: calls are bounded one by one.
        """
        self.arm = arm
        self._timeout_s = timeout_s
        self._sandbox = sandbox
        limits = (limits or Limits()).model_copy(update={"timeout_s": None})
        self._pins_to = cpus if starts_on is not None and sandbox.pins_late else None
        first = cpus if self._pins_to is None else starts_on
        command = arm.command(work, ("-c", probe_text()), cpus=first, limits=limits)
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
        self._answers: queue.Queue[Line] = queue.Queue(MAX_UNASKED)
        self._bound = Bound()
        self._watch = Watch()
        self._spent: dict[str, int] = defaultdict(int)
        self._device = "cpu"

    def __enter__(self) -> Self:
        self._process = self._sandbox.start(self._command)
        reading = (self._process.stdout, self._answers, self._bound)
        threading.Thread(target=read_lines, args=reading, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process(self) -> Process | None:
        """The running process; None before its start and after its end."""
        return self._process

    def close(self) -> None:
        """End the process. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.close(timeout_s=0.2)

    def greet(self) -> None:
        """Wait until the process stands ready: nothing of the arm has run yet."""
        if self._greeted:
            return
        self._greeted = True
        hello = self._exchange("hello", START_TIMEOUT_S, checker=self._checker)
        assert self._process is not None
        # Nothing of the arm has run yet: this process id is the probe's own.
        self._watch.start(self._process, field(hello, "pid", int))
        if self._pins_to is not None:
            self._process.pin(self._pins_to)

    def _ask(self, op: str, timeout_s: float | None = None, book: str = "", **args: Any) -> dict[str, Any]:
        self.greet()
        return self._exchange(op, min(timeout_s or self._timeout_s, self._timeout_s), book, **args)

    def _exchange(self, op: str, timeout_s: float, book: str = "", **args: Any) -> dict[str, Any]:
        """Ask and wait; what it uses is booked under the name of the request, unless another is given."""
        if self._process is None:
            raise ProbeError("died", "the process has ended")
        self._refuse_unasked(op)
        nonce = secrets.token_hex(16)
        data = json.dumps({"id": nonce, "op": op, "args": args}).encode() + b"\n"
        self._watch.begin()
        start = time.perf_counter_ns()
        try:
            self._send(data, timeout_s)
            arrived, waited, line = self._await(start, timeout_s)
        except queue.Empty:
            self.close()
            raise ProbeError("timeout", f"{op} took longer than {timeout_s:.3g} s") from None
        except OSError:
            line = END
        if line == END:
            raise self._died(op)
        if line == OVERLONG:
            raise self._broken(f"an answer to {op} of more than {self._bound.most >> 20} MiB")
        self._watch.end()
        # An answer may lie there while the machine is busy and the thread that reads it has to wait for a core.
        elapsed_ns = arrived - start
        outside_ns = max(1, elapsed_ns - max(0, waited))
        used = self._watch.cpu_ns()
        self._spent[book or op] += outside_ns if used is None or self._device != "cpu" else used
        answer = parsed(line)
        if not isinstance(answer, dict) or answer.get("id") != nonce:
            raise self._broken(f"an answer to {op} that is not the probe's")
        if answer.get("ok") is not True:
            raise self._failure(op, answer)
        return {**answer, "elapsed_ns": elapsed_ns, "outside_ns": outside_ns}

    def _await(self, start_ns: int, timeout_s: float) -> Line:
        """The next line. Raises queue.Empty after `timeout_s`.

        Time in which the process was kept from running by others is not its own, and is added: up to the time that any
        call may take, or as much again.
        """
        own_s = timeout_s
        while True:
            passed_s = (time.perf_counter_ns() - start_ns) / 1e9
            try:
                return self._answers.get(timeout=max(0.0, own_s - passed_s))
            except queue.Empty:
                longer_s = min(timeout_s + self._watch.waited_s(), max(2 * timeout_s, self._timeout_s))
                if longer_s <= max(own_s + 0.01, passed_s):
                    raise
                own_s = longer_s

    def _refuse_unasked(self, op: str) -> None:
        """Whoever speaks without being asked prepares an answer, or wants to fill the driver's memory."""
        if self._answers.empty():
            return
        _, _, line = self._answers.get()
        raise self._died(op) if line == END else self._broken(f"output before {op} that nobody asked for")

    def _failure(self, op: str, answer: dict[str, Any]) -> Exception:
        """The exception for an answer that says no; only a check may find a mismatch."""
        kind = answer.get("kind")
        message, trace = (text_of(answer.get(name, "")) for name in ("message", "trace"))
        if kind == "mismatch" and op == "check":
            return CheckFailed(message)
        if kind not in get_args(ErrorKind):
            return self._broken(f"a failure of {op} that is not the probe's")
        return ProbeError(cast(ErrorKind, kind), message, trace)

    def _send(self, data: bytes, timeout_s: float) -> None:
        """Write a request. What does not fit the pipe may meet a process that does not read: queue.Empty, then."""
        assert self._process is not None
        stdin = self._process.stdin
        if len(data) <= PIPE_BYTES:
            write_all(stdin, data)
            return
        writing = threading.Thread(target=write_all, args=(stdin, data, True), daemon=True)
        writing.start()
        writing.join(timeout_s)
        if writing.is_alive():
            raise queue.Empty

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


def probe_text() -> str:
    """Python source of the probe: its files, and their start."""
    return joined("tasks.sandbox.probe.inside", Path(__file__).parent / "inside", _FILES, "<probe>")
