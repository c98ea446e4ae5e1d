"""The units: systemd reads them, and what they start is there."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))


def read(unit: Path) -> configparser.RawConfigParser:
    found = configparser.RawConfigParser(strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read(unit)
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_starts_takes_these_arguments(unit: Path) -> None:
    """The program of this environment is asked for the help of the same command: an unknown option is an error."""
    program, *arguments = read(unit)["Service"]["ExecStart"].split()
    assert program == "/opt/isobench/.venv/bin/prefect"
    here = Path(sys.executable).with_name("prefect")
    done = subprocess.run([here, *arguments, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in (one for one in arguments if one.startswith("--")):
        assert option in done.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_files_of_variables_are_shipped(unit: Path) -> None:
    place = Path(read(unit)["Service"]["EnvironmentFile"])
    assert place.parent == Path("/etc/isobench")
    lines = (FOLDER / place.name).read_text().splitlines()
    assert all("=" in line for line in lines if not line.startswith("#"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is part of Debian's systemd")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    """It looks for the program, too: here the one of this environment."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/isobench/.venv/bin/prefect", str(Path(sys.executable)))
        (tmp_path / unit.name).write_text(text.replace("User=isobench", "User=root"))
    names = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, check=False
    )
    told = [line for line in done.stderr.splitlines() if "isobench" in line or str(tmp_path) in line]
    assert (done.returncode, told) == (0, [])
