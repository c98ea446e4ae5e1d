"""Runs the real command in a process of its own: real Prefect server, real sandbox, real store.

The commands of a test session share one temporary Prefect server, since each of its own takes 7 to 15 s of CPU to
start; `test_demo.py`, `test_resume.py` and `test_python.py` are about commands that have none yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
    """The session's Prefect server: variables with which commands use it instead of starting one each."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        quiet_defaults()
        started = Server(tmp_path_factory.mktemp("prefect"))
    try:
        started.wait()
        yield started.variables
    finally:
        started.stop()


@pytest.fixture
def isobench(server: dict[str, str]) -> Isobench:
    """Run a command to its end."""
    return lambda *arguments, **more: run(*arguments, variables=environment() | server, **more)


@pytest.fixture(scope="session")
def lone_isobench() -> Isobench:
    """Run a command that starts and ends a Prefect server of its own, as a newcomer's does."""
    return lambda *arguments, **more: run(*arguments, variables=environment(), **more)
