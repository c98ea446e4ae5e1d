"""Where the steps of a build run: on this machine, or in a builder container that becomes an image."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.environments.variables import inherited
from tasks.sandbox.models import ABANDONED, SandboxError

_OUTPUT_CHARACTERS = 20_000


@dataclass(frozen=True)
class Ran:
    """How a step ended; `output` is stdout and stderr together, its last part."""

    code: int
    output: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0

    @property
    def last_line(self) -> str:
        """What it said last: most often the error."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


class Runner(Protocol):
    """Runs steps with the build folder and the environment visible."""

    build: str
    """The build folder as the steps see it: `checkout`, `generated`, `dist` and our scripts are in it."""
    environment: str
    """The virtual environment as the steps see it."""
    uv: str
    """The uv program as the steps see it."""

    def run(
        self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None, variables: dict[str, str] | None = None
    ) -> Ran:
        """Run one step to its end. Never raises for what the step does; a step out of time has code 124."""


def steps_variables(runner: Runner) -> dict[str, str]:
    """What the user's own commands find: the environment active, uv at hand."""
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    path = f"{runner.environment}/bin:{os.path.dirname(runner.uv)}:{system}"
    return {"VIRTUAL_ENV": runner.environment, "PATH": path}


class LocalRunner:
    """Steps are processes of this machine, with the user's rights: the code of the upstream repository is trusted to
    install itself. Patched code is never built here (see `tasks.environments.compiling`).
    """

    def __init__(self, build: Path, environment: Path) -> None:
        import uv

        self.build = str(build)
        self.environment = str(environment)
        self.uv = uv.find_uv_bin()

    def run(
        self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None, variables: dict[str, str] | None = None
    ) -> Ran:
        """See `Runner`."""
        started = time.monotonic()
        process = subprocess.Popen(
            list(argv),
            cwd=cwd or self.build,
            env={**inherited(), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _running.add(process.pid)
        try:
            output, _ = process.communicate(timeout=timeout_s)
            code = process.returncode
        except BaseException as error:
            # Compilers that a killed build leaves behind would go on for minutes.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            output += f"\nout of time after {timeout_s:.0f} s".encode()
            code = 124
        finally:
            _running.discard(process.pid)
        if process.pid in _abandoned:
            raise SandboxError(ABANDONED)
        return Ran(code, output.decode(errors="replace")[-_OUTPUT_CHARACTERS:], time.monotonic() - started)


_running: set[int] = set()
"""Sessions of steps under way."""
_abandoned: set[int] = set()
"""Those that were ended since this process ends: how they ended is no result."""


@atexit.register
def _end_steps() -> None:
    # after Ctrl-C nobody waits for the thread that waits for them
    for session in list(_running):
        _abandoned.add(session)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)


def shown(argv: Sequence[str]) -> str:
    """A command line as one would type it."""
    return shlex.join(argv)
