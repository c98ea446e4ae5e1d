"""The command line: what it loads, what it says, how it exits. Mostly in processes of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from tests.flows.conftest import Isobench, environment

COMMANDS = (
    "demo", "build", "mine", "apis", "perftests", "time", "evaluate", "report", "export", "publish", "show", "rule",
    "validate", "doctor",
)  # fmt: skip
HEAVY = ("prefect", "litellm", "polars", "pyarrow", "docker", "numpy", "git")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from flows.cli import main\n"
        "sys.argv = ['isobench', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    if command != "doctor":
        assert f"isobench {command}" in done.stdout, "an example"


def test_bad_configurations_are_the_users_mistake(lone_isobench: Isobench, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("repository: {name: a/b}\nmining:\n  max_file: many\n")
    for command in ("validate", "build"):
        done = lone_isobench(command, path)
        assert done.returncode == 2
        assert "bad.yaml:3" in done.stderr
        assert "max_files" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_repository_that_is_not_there_is_the_users_mistake(isobench: Isobench, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"repository: {{name: a/b, url: {tmp_path}/nowhere}}\nstore: {tmp_path}/store\n")
    done = isobench("mine", path)
    assert done.returncode == 2, done.stderr
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_command_cannot_take_is_said_with_its_usage(lone_isobench: Isobench) -> None:
    done = lone_isobench("demo", "--sandbox", "moon")
    assert done.returncode == 2
    assert "moon" in done.stderr


def test_show_and_report_on_an_empty_store(lone_isobench: Isobench, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert lone_isobench("show", "commits", "--store", tmp_path / "store").returncode == 0
    unknown = lone_isobench("show", "comits", "--store", tmp_path / "store")
    assert unknown.returncode == 2
    assert "commits" in unknown.stderr
    assert lone_isobench("report", tmp_path / "store", "--out", tmp_path / "page").returncode == 0
    assert (tmp_path / "page" / "index.html").is_file()


def test_doctor_names_what_is_here(lone_isobench: Isobench) -> None:
    done = lone_isobench("doctor")
    assert done.returncode in (0, 1)
    assert "git" in done.stdout
    assert "bubblewrap" in done.stdout
