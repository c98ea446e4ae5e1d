"""The driver's side of a command workload: one sandbox with a runner, a server and its clients inside."""

from __future__ import annotations

import json
import posixpath
import secrets
import threading
import time
from functools import lru_cache
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.models import CommandConfig
from tasks.sandbox.commands.metrics import DEFAULTS
from tasks.sandbox.models import ARM_DIR, Arm, Limits, Mount, Process, Sandbox
from tasks.sandbox.probe.protocol import END, MAX_UNASKED, OVERLONG, Bound, Line, read_lines

CLIENT_DIR = "/client"
"""Where base's checkout is mounted beside a server: every arm's client runs base's code; no patch is its own judge."""
MARGIN_S = 30.0
"""What the driver waits longer than the runner should take."""
START_TIMEOUT_S = 60.0
MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer at most: the runner keeps 4 MiB of what a client prints, and JSON may write six for each."""
PATIENCE_S = 8.0
"""More than the runner's own GRACE_S."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CommandError(Exception):
    """A server or client failed: a result about the arm. `kind` is `error` or `timeout`."""

    def __init__(self, kind: Literal["error", "timeout"], message: str, output: str = "") -> None:
        super().__init__(message)
        self.kind: Literal["error", "timeout"] = kind
        self.output = output

    def __str__(self) -> str:
        tail = " | ".join(line.strip() for line in self.output.strip().splitlines()[-5:] if line.strip())
        return f"{self.args[0]}: {tail[-600:]}" if tail else str(self.args[0])


class Ran(BaseModel):
    """One client run."""

    model_config = ConfigDict(frozen=True)

    output: str
    wall_ns: int
    """The runner's clock."""
    outside_ns: int
    """The driver's clock around the request."""


def parse_spec(script: str) -> CommandConfig:
    """The command of a perf test in the `command` dialect. Raises ValueError with the first problem."""
    try:
        return CommandConfig.model_validate_json(script)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def wanted_metrics(spec: CommandConfig) -> list[str]:
    """Metrics of interest; the first decides."""
    return spec.metrics or DEFAULTS[spec.parser]


class CommandSession:
    """One arm's sandbox for a command workload. A context manager: everything inside ends with it, whatever happens.

    Methods raise CommandError. The server runs the arm's code; the client runs base's where there is a server, and the
    arm's where the client is the workload itself.
    """

    def __init__(
        self, sandbox: Sandbox, arm: Arm, base: Arm, work: Path, spec: CommandConfig, *,
        cpus: tuple[int, ...] | None = None, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """`work` is `Store.work`; `cpus` are shared by server and client."""
        self._sandbox, self._spec = sandbox, spec
        limits = (limits or Limits()).model_copy(update={"timeout_s": None})
        mounts = [Mount(source=work / base.checkout, target=CLIENT_DIR)] if spec.server else []
        command = arm.command(work, ("-I", "-c", _text()), mounts=mounts, cpus=cpus, limits=limits)
        self._paths = command.variables["PYTHONPATH"]
        self._variables = {
            **command.variables,
            "PATH": ":".join(filter(None, (posixpath.dirname(arm.environment.python), _PATH))),
            "HOME": "/work",
            "LANG": "C.UTF-8",
            **spec.variables,
        }
        self._command = command.model_copy(update={"variables": {**command.variables, "PYTHONPATH": ""}})
        self._process: Process | None = None
        self._answers: Queue[Line] = Queue(MAX_UNASKED)
        self._port: int | None = None

    def __enter__(self) -> CommandSession:
        self._process = self._sandbox.start(self._command)
        reading = (self._process.stdout, self._answers, Bound(MAX_ANSWER))
        threading.Thread(target=read_lines, args=reading, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything inside: the server is asked first; after PATIENCE_S the sandbox is killed."""
        process, self._process = self._process, None
        if process is not None:
            process.close(timeout_s=PATIENCE_S)

    def start_server(self) -> float:
        """Start the server and wait until it is ready; the seconds that took. Nothing to do without one."""
        spec = self._spec
        if spec.server is None or spec.ready is None:
            return 0.0
        ready = spec.ready.model_dump()
        ready["url"] = self._filled(ready["url"], 0) if ready["url"] else None
        ready["port"] = int(self._filled(str(ready["port"]), 0)) if ready["port"] else None
        answer = self._ask(
            "start", spec.ready.timeout_s + MARGIN_S, command=self._filled(spec.server, 0), cwd=ARM_DIR,
            variables={**self._variables, "PYTHONPATH": self._paths}, ready=ready,
        )  # fmt: skip
        return float(answer["ready_s"])

    def run_client(self, seed: int) -> Ran:
        """Run the client once, to its end."""
        spec = self._spec
        place = CLIENT_DIR if spec.server else ARM_DIR
        paths = ":".join(place + path.removeprefix(ARM_DIR) for path in self._paths.split(":"))
        answer = self._ask(
            "client", spec.timeout_s + MARGIN_S, command=self._filled(spec.command, seed), cwd=place,
            variables={**self._variables, "PYTHONPATH": paths, "SEED": str(seed)}, timeout_s=spec.timeout_s,
        )  # fmt: skip
        if not isinstance(answer.get("output"), str) or type(answer.get("wall_ns")) is not int:
            raise self._broken("client")
        return Ran(output=answer["output"], wall_ns=answer["wall_ns"], outside_ns=answer["outside_ns"])

    def stop_server(self) -> None:
        """End the server and whatever else was left running."""
        self._ask("stop", MARGIN_S)

    def _filled(self, text: str, seed: int) -> str:
        """`{port}` is a free port of the sandbox, `{seed}` the round's seed; other braces stay."""
        if "{port}" in text:
            if self._port is None:
                self._port = int(self._ask("port", START_TIMEOUT_S)["port"])
            text = text.replace("{port}", str(self._port))
        return text.replace("{seed}", str(seed))

    def _ask(self, op: str, patience_s: float, **args: Any) -> dict[str, Any]:
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
            raise self._broken(op)
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
            raise self._broken(op)
        if answer.get("ok") is not True:
            kind: Literal["error", "timeout"] = "timeout" if answer.get("kind") == "timeout" else "error"
            raise CommandError(kind, str(answer.get("message")), str(answer.get("output", "")))
        return {**answer, "outside_ns": arrived - start}

    def _broken(self, op: str) -> CommandError:
        self.close()
        return CommandError("error", f"an answer to {op} that is not the runner's")


@lru_cache
def _text() -> str:
    return (Path(__file__).parent / "inside" / "runner.py").read_text()
