"""Runs the real command in a process of its own: real Prefect server, real sandbox, real store.

The commands of a run share one temporary Prefect server, also between workers, since each of its own takes 7 to 15 s
of CPU to start; `test_demo.py`, `test_resume.py` and `test_python.py` are about commands that have none yet.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from flows.engine.server import Server, quiet_defaults

Isobench = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str | Path) -> list[str]:
    """argv of an isobench command."""
    return [sys.executable, "-c", "from flows.cli import main; main()", *map(str, arguments)]


def environment() -> dict[str, str]:
    """The user's variables without a Prefect server of theirs and without keys."""
    dropped = ("PREFECT_", "OPENAI_", "ANTHROPIC_", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | {"COLUMNS": "160"}


def run(
    *arguments: str | Path, variables: dict[str, str], cwd: Path | None = None, timeout_s: float = 280
) -> subprocess.CompletedProcess[str]:
    """A command to its end; `.returncode`, `.stdout`, `.stderr`."""
    return subprocess.run(
        command(*arguments),
        env=variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The run's Prefect server: variables with which commands use it instead of starting one each.

    Workers share it. The first one that asks starts it, and stops it when no other uses it any more.
    """
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base if alone else base.parent) / "prefect"
    folder.mkdir(exist_ok=True)
    with (folder / "users.lock").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        started, variables = _server_in(folder)
        try:
            yield variables
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if started:
                fcntl.flock(users, fcntl.LOCK_EX)
                started.stop()


def _server_in(folder: Path) -> tuple[Server | None, dict[str, str]]:
    """Variables of the server of this folder; and the server itself, if it was started here."""
    said = folder / "variables.json"
    with FileLock(folder / "start.lock"):
        if said.exists():
            return None, json.loads(said.read_text())
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("PREFECT_")]:
                patch.delenv(name)
            quiet_defaults()
            started = Server(folder)
        started.wait()
        said.write_text(json.dumps(started.variables))
        return started, started.variables


@pytest.fixture
def isobench(server: dict[str, str]) -> Isobench:
    """Run a command to its end."""
    return lambda *arguments, **more: run(*arguments, variables=environment() | server, **more)


@pytest.fixture(scope="session")
def lone_isobench() -> Isobench:
    """Run a command that starts and ends a Prefect server of its own, as a newcomer's does."""
    return lambda *arguments, **more: run(*arguments, variables=environment(), **more)
