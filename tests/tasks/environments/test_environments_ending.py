"""What a build started ends with the process that started it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

SCRIPT = """
import atexit, os, sys, threading, time
from pathlib import Path
from tasks.environments.builds.runners import LocalRunner, Place

folder = Path(sys.argv[1])
place = Place(*(folder / name for name in ("build", "environment", "tools", "cache", "clone")))
runner = LocalRunner(place, sys.executable)
step = ["sh", "-c", "echo > started; exec sleep 600.25"]
threading.Thread(target=runner.run, args=(step,), kwargs={"timeout_s": 600}, daemon=True).start()
while not (place.build / "started").exists():
    time.sleep(0.01)
atexit._run_exitfuncs()  # as `isobench` does after Ctrl-C
os._exit(130)
"""


def test_a_step_that_nobody_waits_for_is_ended(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], timeout=100, check=False)
    assert done.returncode == 130
    deadline = time.monotonic() + 60
    while any("600.25" in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
