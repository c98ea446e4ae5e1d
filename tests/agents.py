"""Agents that tests install for real: once on a machine, for all tests, workers and runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def agents_work() -> Path:
    """The work folder in which tests install agents; `ISOBENCH_TEST_AGENTS` names another one.

    What is installed is named by its content, and one process installs while others wait, so a folder that is there
    already is as good as a new one. From nothing, Claude Code, Codex and mini-swe-agent take minutes and 1.8 GB.
    """
    named = os.environ.get("ISOBENCH_TEST_AGENTS")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"isobench-test-agents-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def share_agents(work: Path) -> None:
    """Show what is installed there to a store (`work`: its `Store.work`), which would install it anew otherwise."""
    (work / "agents").mkdir(exist_ok=True)
    for folder in (agents_work() / "agents").iterdir():
        if (folder / "installed.json").is_file():
            (work / "agents" / folder.name).symlink_to(folder)
