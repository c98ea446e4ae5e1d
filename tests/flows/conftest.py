"""Runs the real command in a process of its own: real Prefect server, real sandbox, real store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Isobench = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str | Path) -> list[str]:
    """argv of an isobench command."""
    return [sys.executable, "-c", "from flows.cli import main; main()", *map(str, arguments)]


def environment() -> dict[str, str]:
    """The user's variables without a Prefect server of theirs and without keys."""
    dropped = ("PREFECT_", "OPENAI_", "ANTHROPIC_", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | {"COLUMNS": "160"}


@pytest.fixture(scope="session")
def isobench() -> Isobench:
    """Run a command to its end; `.returncode`, `.stdout`, `.stderr`."""

    def run(
        *arguments: str | Path, cwd: Path | None = None, timeout_s: float = 280
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            env=environment(),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run
