"""A step as a process of this machine with the user's rights: where there is no bubblewrap and the user said so."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from tasks.sandbox.models import ABANDONED, SandboxError

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


def run_unisolated(argv: Sequence[str], cwd: str, variables: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
    """(exit code, stdout and stderr); 124 for one out of time. Raises SandboxError if this process ends meanwhile."""
    process = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=variables,
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
    return code, output
