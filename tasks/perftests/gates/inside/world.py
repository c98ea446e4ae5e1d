"""What a script does to the world, and how long changed code runs in its setup. Loaded before the script, in a sandbox.

Its text follows that of `inside/watch.py`. It stays in the process and is asked by a third text (`REPORT` in
`isolation.py`). The phases are told by the probe's own calls: `Probe.setup` and `Probe.run`. Standard library only,
Python 3.8.
"""

import os
import socket
import sys
import tempfile
import time
import types
from typing import Any

if "Watch" not in globals():  # in a sandbox both texts are one module
    from tasks.perftests.inside.watch import Watch

TARGETS: dict = {}
ROOT = "/arm"
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None)
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
NOTES: Any = {"network": set(), "writes": set()}


class Phases(Watch):
    """Seconds inside the targets, in setup and in the experiment."""

    def __init__(self, targets: dict, root: str) -> None:
        super().__init__(targets, root)
        self.phase = ""
        self.spent = {"setup": 0.0, "run": 0.0}

    def event(self, frame: Any, event: str, arg: Any) -> None:
        """sys.setprofile's callback."""
        code = frame.f_code
        if code.co_filename == "<probe>" and code.co_name in self.spent and event in ("call", "return"):
            self.phase = code.co_name if event == "call" else ""
            self.depth = 0
            return
        if not self.phase:
            return
        before = self.inside
        super().event(frame, event, arg)
        self.spent[self.phase] += self.inside - before


def hook(event: str, args: Any) -> None:
    """sys.addaudithook's callback: notes, and forbids nothing."""
    try:
        if event == "socket.connect" and args[0].family != socket.AF_UNIX and args[1][0] not in LOCAL:
            NOTES["network"].add(f"connects to {args[1][0]}")
        elif event in LOOKUPS and args[0] not in LOCAL:
            NOTES["network"].add(f"looks up {args[0]}")
        elif event in CHANGES or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            outside(args[0])
    except Exception:
        pass  # a note is lost; the script goes on as it would without


def outside(path: Any) -> None:
    """Note a path that is to be changed, unless it is in the working folder or a temporary one."""
    if isinstance(path, int):
        return  # a file that is open already
    full = os.path.realpath(os.fsdecode(path))
    allowed = [os.path.realpath(folder) for folder in (START, tempfile.gettempdir(), "/tmp", "/dev/shm", "/proc/self")]
    if full not in ("/dev/null", "/dev/tty") and not any(
        full == top or full.startswith(top + os.sep) for top in allowed
    ):
        NOTES["writes"].add(full)


def report() -> dict:
    """What was noted, JSON-like."""
    sys.setprofile(None)
    notes = {name: sorted(found)[:5] for name, found in NOTES.items()}
    return {**notes, "setup_s": PHASES.spent["setup"], "run_s": PHASES.spent["run"]}


START = os.getcwd()
tempfile.gettempdir()  # writes a file to see where it may
PHASES: Any = None


def begin(targets: dict, root: str) -> None:
    """Watch from now on."""
    global PHASES  # noqa: PLW0603
    PHASES = Phases(targets, root)
    module = types.ModuleType("isobench_watching")
    module.report = report  # type: ignore[attr-defined]
    sys.modules["isobench_watching"] = module
    sys.addaudithook(hook)
    sys.setprofile(PHASES.event)


def setup(seed: Any) -> None:
    """Nothing: the dialect wants it."""


def experiment(state: Any) -> float:
    """Nothing: the dialect wants it."""
    return time.time()


def check_equivalence(reference: Any, candidate: Any) -> None:
    """Nothing: the dialect wants it."""
