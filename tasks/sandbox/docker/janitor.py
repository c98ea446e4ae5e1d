"""Outlives its parent to remove the containers that it left: `python -m tasks.sandbox.docker.janitor OWNER`.

A process that is killed with SIGKILL cleans up nothing. The janitor sees its standard input end when that happens.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

from tasks.sandbox.docker.engine import HOST_LABEL, OWNER_LABEL, connect, host, remove_containers
from tasks.sandbox.ownership import OWNER


@lru_cache
def start_janitor() -> subprocess.Popen[bytes]:
    """Start this process's janitor, once. It has its own session, so that Ctrl-C does not reach it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.sandbox.docker.janitor", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
        start_new_session=True,
    )


def main(owner: str) -> None:
    """Wait for the parent's end, then remove what it left, twice: the engine may still be creating something."""
    sys.stdin.buffer.read()
    client = connect()
    for pause_s in (1, 0):
        remove_containers(client, f"{HOST_LABEL}={host()}", f"{OWNER_LABEL}={owner}")
        time.sleep(pause_s)


if __name__ == "__main__":
    main(sys.argv[1])
