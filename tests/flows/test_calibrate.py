"""`isobench calibrate`, as a newcomer runs it: real sessions, few of them. Nothing about how fast."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from storage.store import Store
from storage.tables import Calibration, Measurement

COMMAND = [sys.executable, "-c", "from flows.cli import main; main()", "calibrate"]


def test_one_comparison_is_measured_kept_and_drawn(tmp_path: Path):
    folder = tmp_path / "store"
    done = subprocess.run(
        [*COMMAND, "--store", str(folder), "--minutes", "0"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "at least 0.95x?" in done.stdout
    assert "1 comparisons" in done.stderr
    (row,) = Store(folder).rows(Calibration)
    assert (row.true_ratio, row.question, row.sandbox) == (1.0, 0.95, "local")
    assert row.n_rounds > 1
    assert Store(folder).rows(Measurement) == []


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path):
    folder = tmp_path / "store"
    process = subprocess.Popen(
        [*COMMAND, "--store", str(folder), "--minutes", "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not Store(folder).rows(Calibration):
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "at least 0.95x?" in out
    assert "Traceback" not in err
    assert Store(folder).rows(Calibration)
