"""First process of a command that has no process namespace: adopts what the command leaves behind, and waits for it.

Standard library only, Python 3.8 and newer, like all that runs beside an arm's code.
The kernel keeps an ended process's CPU time with whoever waits for it. An orphan would be waited for by the machine's
first process, where nobody could tell it from others. In a namespace, bubblewrap's and docker's first process do this.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code, as a shell tells it."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        if prctl is not None:
            prctl(END_WITH_PARENT, int(signal.SIGKILL), 0, 0, 0)
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
            os._exit(127)
    for fd in range(3):  # the pipes are the command's alone: they end with it
        with contextlib.suppress(OSError):
            os.close(fd)
    return awaited(child)


def awaited(child: int) -> int:
    """Wait for whatever ends, until the command does."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
