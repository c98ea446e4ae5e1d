"""The driver's side of one runner (`inside/runner.py`): a sandbox, questions to it, and answers that are its own."""

from __future__ import annotations

import json
import secrets
import threading
import time
from functools import lru_cache
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Literal

from tasks.sandbox.models import Arm, Command, Limits, Process, Sandbox
from tasks.sandbox.probe.protocol import END, MAX_UNASKED, OVERLONG, Bound, Line, read_lines

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer at most: the runner keeps 4 MiB of what a client prints, and JSON may write six for each."""
PATIENCE_S = 8.0
"""More than the runner's own GRACE_S."""


class CommandError(Exception):
    """A server or client failed: a result about the arm. `kind` is `error` or `timeout`."""

    def __init__(self, kind: Literal["error", "timeout"], message: str, output: str = "") -> None:
        super().__init__(message)
        self.kind: Literal["error", "timeout"] = kind
        self.output = output

    def __str__(self) -> str:
        tail = " | ".join(line.strip() for line in self.output.strip().splitlines()[-5:] if line.strip())
        return f"{self.args[0]}: {tail[-600:]}" if tail else str(self.args[0])


class Runner:
    """A runner in a sandbox of its own. Methods raise CommandError."""

    def __init__(self, sandbox: Sandbox, command: Command, beside: Runner | None = None) -> None:
        """Starts it; `beside`: on the network of another."""
        process = sandbox.start(command) if beside is None else sandbox.start(command, beside=beside._process)
        self._process: Process | None = process
        self._answers: Queue[Line] = Queue(MAX_UNASKED)
        reading = (process.stdout, self._answers, Bound(MAX_ANSWER))
        threading.Thread(target=read_lines, args=reading, daemon=True).start()

    def close(self) -> None:
        """End everything inside: it is asked first; after PATIENCE_S the sandbox is killed."""
        process, self._process = self._process, None
        if process is not None:
            process.close(timeout_s=PATIENCE_S)

    def ask(self, op: str, patience_s: float, **args: Any) -> dict[str, Any]:
        """The answer to one question, with `outside_ns`, the driver's clock around it."""
        if self._process is None:
            raise CommandError("error", "the sandbox has ended")
        nonce = secrets.token_hex(16)
        data = json.dumps({"id": nonce, "op": op, "args": args}).encode() + b"\n"
        start = time.perf_counter_ns()
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
            arrived, _, line = self._answers.get(timeout=patience_s)
        except Empty:
            self.close()
            raise CommandError("timeout", f"no answer to {op} within {patience_s:g} s") from None
        except OSError:
            arrived, line = 0, END
        if line == OVERLONG:
            raise self.broken(op)
        if line == END:
            process, self._process = self._process, None
            ended = process.close(timeout_s=1.0)
            why = "out of memory" if ended.out_of_memory else f"exit code {ended.returncode}"
            raise CommandError(
                "error", f"the sandbox ended during {op} ({why})", ended.stderr[-2000:].decode(errors="replace")
            )
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.get("id") != nonce:
            raise self.broken(op)
        if answer.get("ok") is not True:
            kind: Literal["error", "timeout"] = "timeout" if answer.get("kind") == "timeout" else "error"
            raise CommandError(kind, str(answer.get("message")), str(answer.get("output", "")))
        return {**answer, "outside_ns": arrived - start}

    def broken(self, op: str) -> CommandError:
        """What is raised for an answer that makes no sense; it is not asked again."""
        self.close()
        return CommandError("error", f"an answer to {op} that is not the runner's")


def command_of(arm: Arm, work: Path, cpus: tuple[int, ...] | None, limits: Limits | None, *, meets: bool) -> Command:
    """A runner with an arm's checkout and environment; `meets`: others may come to its network."""
    within = (limits or Limits()).model_copy(update={"timeout_s": None})
    command = arm.command(work, ("-I", "-c", _text()), cpus=cpus, limits=within)
    return command.model_copy(update={"variables": {**command.variables, "PYTHONPATH": ""}, "meets": meets})


@lru_cache
def _text() -> str:
    return (Path(__file__).parent / "inside" / "runner.py").read_text()
