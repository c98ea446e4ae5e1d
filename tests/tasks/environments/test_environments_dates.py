"""Dependencies are those of the day on which a commit landed, whatever its author's date says."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.code.clones import clone_path
from tasks.environments.arms.checking_out import check_out
from tasks.environments.builds.building import build_environment
from tasks.environments.dates import landed
from tasks.environments.models import EnvironmentWanted
from tasks.sandbox import open_sandbox

SETUP = "from setuptools import setup\nsetup(name='tinylib', packages=['tinylib'], install_requires=['iniconfig'])"
FUTURE = f"{datetime.now(UTC) + timedelta(days=365 * 70):%Y-%m-%dT00:00:00Z}"


def _landed(history: Any, base: str, head: str, date: datetime | None = None) -> tuple[str, str]:
    found = landed(history.work / clone_path(history.repository.name), base, head, date)
    return (f"{found.date:%Y-%m-%d}" if found.date else "", found.note)


@pytest.mark.parametrize(
    ("author", "committer", "day"),
    [
        ("2019-05-01T00:00:00Z", "2024-03-02T00:00:00Z", "2024-03-02"),  # rebased
        ("2030-05-01T00:00:00Z", "2024-03-02T00:00:00Z", "2024-03-02"),  # a clock that was ahead
        ("2019-05-01T00:00:00Z", "2019-05-01T00:00:00Z", "2024-03-01"),  # no older than its base
        ("@0 +0000", "2024-03-02T00:00:00Z", "2024-03-02"),
        ("2024-03-05T00:00:00Z", "@0 +0000", "2024-03-05"),
        ("@0 +0000", "@0 +0000", "2024-03-01"),
        (FUTURE, FUTURE, "2024-03-01"),
        ("2024-03-02T00:00:00Z", FUTURE, "2024-03-02"),
        ("2024-03-02T23:30:00-0500", "2024-03-02T23:30:00-0500", "2024-03-03"),
    ],
)
def test_the_day_on_which_a_commit_landed(history: Any, author: str, committer: str, day: str) -> None:
    base = history.commit({"a.py": "1\n"})
    head = history.commit({"a.py": "2\n"}, author=author, committer=committer)
    assert _landed(history, base, head) == (day, "")


def test_dates_that_no_clock_shows(history: Any) -> None:
    """Year 60000, and a date that git itself cannot read, are written by other tools."""
    base = history.commit({"a.py": "1\n"})
    raw = history.git("cat-file", "commit", base)
    for stamp in ("1831000000000", "99999999999999999999", "-86400"):
        text = raw.replace("1709294400 +0000", f"{stamp} +0000")
        done = subprocess.run(
            ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
            cwd=history.source, input=text.encode(), capture_output=True, check=True,
        )  # fmt: skip
        assert _landed(history, base, done.stdout.decode().strip()) == ("2024-03-01", "")


def test_all_dates_of_a_pair_are_broken(history: Any) -> None:
    history.commit({"a.py": "0\n"}, author="2022-02-02T00:00:00Z", committer="2022-02-02T00:00:00Z")
    base = history.commit({"a.py": "1\n"}, author="@0 +0000", committer="@0 +0000")
    head = history.commit({"a.py": "2\n"}, author="@0 +0000", committer="@0 +0000")
    day, note = _landed(history, base, head)
    assert day == "2022-02-02"
    assert "1970-01-01" in note
    assert _landed(history, base, head, datetime(2023, 1, 1, tzinfo=UTC)) == ("2023-01-01", "")


def test_a_history_without_any_date_has_no_cut_off(history: Any) -> None:
    base = history.commit({"a.py": "1\n"}, author="@0 +0000", committer="@0 +0000")
    day, note = _landed(history, base, base)
    assert day == ""
    assert "1970-01-01" in note
    assert "today's" in note


def test_a_dataset_whose_commit_is_not_in_the_clone(history: Any) -> None:
    base = history.commit({"a.py": "1\n"})
    assert _landed(history, base, "", datetime(2024, 6, 1)) == ("2024-06-01", "")
    assert _landed(history, base, "f" * 40, datetime(2020, 6, 1, tzinfo=UTC)) == ("2024-03-01", "")
    mark = history.work / "made"
    assert _landed(history, base, f"--output={mark}") == ("2024-03-01", "")
    assert not mark.exists()


def test_dependencies_are_of_the_day_on_which_a_commit_landed(history: Any, registry: None) -> None:
    files = {"tinylib/__init__.py": "import iniconfig\n", "setup.py": SETUP}
    config, sandbox = EnvironmentConfig(), SandboxConfig()
    versions = {}
    base = history.commit(files, author="2021-03-01T00:00:00Z", committer="2021-03-01T00:00:00Z")
    for year in (2021, 2024):
        day = f"{year}-03-01T00:00:00Z"
        head = history.commit({"tinylib/x.py": f"{year}\n"}, author="2019-01-01T00:00:00Z", committer=day)
        stated = datetime(2019, 1, 1, tzinfo=UTC)
        built = build_environment(
            EnvironmentWanted(history.repository, config, sandbox, base, head, stated), history.work
        )
        assert built.environment is not None, built.reason
        made = check_out(history.repository, config, built.environment, sandbox, base, "base", None, history.work)
        assert made.arm is not None
        with open_sandbox(sandbox) as opened:
            code = "import importlib.metadata as m; print(m.version('iniconfig'))"
            versions[year] = opened.run(made.arm.command(history.work, ["-c", code])).stdout.decode().strip()
    assert versions == {2021: "1.1.1", 2024: "2.0.0"}


def test_a_failure_names_the_date_and_the_setting(history: Any, registry: None) -> None:
    old = "2002-01-01T00:00:00Z"
    base = history.commit({"tinylib/__init__.py": ""}, author=old, committer=old)
    config = EnvironmentConfig(install_project=False, packages=["iniconfig"])
    built = build_environment(
        EnvironmentWanted(history.repository, config, SandboxConfig(), base, base, None), history.work
    )
    assert built.environment is None
    assert "2002-01-01" in built.reason
    assert "pin_to_date" in built.reason
