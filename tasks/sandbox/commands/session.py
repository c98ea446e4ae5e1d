"""The driver's side of a command workload: a server in one sandbox, its clients in another, on one loopback network.

The server runs the arm's code and must not reach who measures it: another process of its sandbox it could trace, or
write into the client's output. So the client has a sandbox, a runner and a pipe to the driver of its own, and base's
code; what the two share are ports. Without a server the command is the workload: the arm's own code says how fast it
was, and who reads that must hold it against the driver's clock (`Ran.outside_ns`).
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.models import CommandConfig
from tasks.sandbox.commands.asking import CommandError, Runner, command_of
from tasks.sandbox.commands.metrics import DEFAULTS
from tasks.sandbox.commands.parsing import OutputError, parse_output
from tasks.sandbox.models import ARM_DIR, Arm, Limits, Sandbox

MARGIN_S = 30.0
"""What the driver waits longer than the runner should take."""
START_TIMEOUT_S = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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


def metrics_of(spec: CommandConfig, output: str) -> dict[str, float]:
    """Metrics by name in a client's output. Raises OutputError if there is no result, or one that is wanted is not."""
    found = parse_output(spec.parser, output, wanted_metrics(spec), spec.better)
    if set(spec.equal) - set(found):  # benchmarks know no checksums: a line of JSON beside their output holds them
        beside = parse_output("json", output, [], {})
        found |= {name: beside[name] for name in spec.equal if name in beside}
    missing = [name for name in spec.equal if name not in found]
    if missing:
        raise OutputError(
            f"no {', '.join(missing)} (of `equal`) in the output; it has {', '.join(found) or 'no metric'}"
        )
    return found


def wanted_metrics(spec: CommandConfig) -> list[str]:
    """Metrics of interest; the first decides."""
    return spec.metrics or DEFAULTS[spec.parser]


class CommandSession:
    """One arm's sandboxes for a command workload. A context manager: everything inside ends with it, whatever happens.

    Methods raise CommandError. The server runs the arm's code; the client runs base's where there is a server, and the
    arm's where the client is the workload itself.
    """

    def __init__(
        self, sandbox: Sandbox, arm: Arm, base: Arm, work: Path, spec: CommandConfig, *,
        cpus: tuple[int, ...] | None = None, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """`work` is `Store.work`; `cpus` are shared by server and client."""
        self._sandbox, self._spec, self._work, self._cpus, self._limits = sandbox, spec, work, cpus, limits
        self._arm, self._caller = arm, base if spec.server else arm
        self._server: Runner | None = None
        self._client: Runner | None = None
        self._port: int | None = None

    def __enter__(self) -> CommandSession:
        try:
            if self._spec.server:
                self._server = Runner(self._sandbox, self._command(self._arm, meets=True))
                self._server.ask("ping", START_TIMEOUT_S)  # its network is there
            self._client = Runner(self._sandbox, self._command(self._caller, meets=False), self._server)
        except CommandError:
            pass  # said by the first question to whoever has ended
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything inside."""
        for runner in (self._client, self._server):
            if runner is not None:
                runner.close()

    def start_server(self) -> float:
        """Start the server and wait until it is ready; the seconds that took. Nothing to do without one."""
        spec = self._spec
        if spec.server is None or spec.ready is None:
            return 0.0
        ready = spec.ready.model_dump()
        ready["url"] = self._filled(ready["url"], 0) if ready["url"] else None
        ready["port"] = int(self._filled(str(ready["port"]), 0)) if ready["port"] else None
        answer = self._ask(
            self._server, "start", spec.ready.timeout_s + MARGIN_S, command=self._filled(spec.server, 0), cwd=ARM_DIR,
            variables=self._variables(self._arm), ready=ready,
        )  # fmt: skip
        return float(answer["ready_s"])

    def run_client(self, seed: int) -> Ran:
        """Run the client once, to its end. A server that has ended meanwhile is the reason of whatever happened."""
        spec = self._spec
        variables = {**self._variables(self._caller), "SEED": str(seed)}
        try:
            answer = self._ask(
                self._client, "client", spec.timeout_s + MARGIN_S, command=self._filled(spec.command, seed),
                cwd=ARM_DIR, variables=variables, timeout_s=spec.timeout_s,
            )  # fmt: skip
        finally:
            if self._server is not None:
                self._server.ask("alive", MARGIN_S)
        if not isinstance(answer.get("output"), str) or type(answer.get("wall_ns")) is not int:
            raise self._client.broken("client") if self._client else CommandError("error", "no client")
        return Ran(output=answer["output"], wall_ns=answer["wall_ns"], outside_ns=answer["outside_ns"])

    def stop_server(self) -> None:
        """End the server and whatever else was left running."""
        for runner in (self._client, self._server):
            if runner is not None:
                runner.ask("stop", MARGIN_S)

    def _command(self, arm: Arm, *, meets: bool) -> Any:
        return command_of(arm, self._work, self._cpus, self._limits, meets=meets)

    def _variables(self, arm: Arm) -> dict[str, str]:
        """What server and client find in their environment."""
        made = arm.command(self._work, ()).variables
        programs = posixpath.dirname(arm.environment.python)
        path = ":".join(filter(None, (programs, _PATH)))
        return {**made, "PATH": path, "HOME": "/work", "LANG": "C.UTF-8", **self._spec.variables}

    def _filled(self, text: str, seed: int) -> str:
        """`{port}` is a free port of the sandboxes, `{seed}` the round's seed; other braces stay."""
        if "{port}" in text:
            if self._port is None:
                self._port = int(self._ask(self._server or self._client, "port", START_TIMEOUT_S)["port"])
            text = text.replace("{port}", str(self._port))
        return text.replace("{seed}", str(seed))

    def _ask(self, runner: Runner | None, op: str, patience_s: float, **args: Any) -> dict[str, Any]:
        if runner is None:
            raise CommandError("error", "the sandbox has ended")
        return runner.ask(op, patience_s, **args)
