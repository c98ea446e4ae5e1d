"""An agent's source from a git repository, at one commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from configs.agent_files import InstallConfig
from tasks.git_environment import reaching

_TIMEOUT_S = 600


def fetch(install: InstallConfig, folder: Path) -> str:
    """Put the files of the commit into an empty folder; returns what went wrong, or nothing.

    git runs outside, as it does for repositories, with what the user's machine says about reaching remotes.
    """
    assert install.repository
    assert install.version
    git = ["git", "-C", str(folder)]
    steps = [
        ["git", "init", "-q", str(folder)],
        [*git, "fetch", "-q", "--depth", "1", "--", install.repository, install.version],
        [*git, "-c", "advice.detachedHead=false", "checkout", "-q", "FETCH_HEAD"],
    ]
    for step in steps:
        try:
            done = subprocess.run(step, env={**os.environ, **reaching()}, capture_output=True, text=True,
                                  errors="replace", timeout=_TIMEOUT_S, check=False)  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{install.repository}: {error}"
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return f"{install.repository} at {install.version[:12]} cannot be fetched: {lines[-1]}"
    return ""
