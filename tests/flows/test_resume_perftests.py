"""`isobench perftests` with the repository's own benchmarks and tests and no model, killed in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from storage.store import Store
from storage.tables import PerfTest
from tests.flows.conftest import Isobench, command, environment

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(400)]  # a push has test_resume.py

CODE = """
def {name}(values):
    found = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
"""
FASTER = """
def {name}(values):
    return list(dict.fromkeys(values))
"""
BENCHMARK = """
from kit import {name}

class Distinct:
    params = [[10, 400]]

    def setup(self, kinds):
        self.values = [n % kinds for n in range(4000)]

    def time_{name}(self, kinds):
        _ = {name}(self.values)
"""
TEST = """
from kit import {name}

def test_{name}():
    assert {name}([n % 400 for n in range(4000)]) == list(range(400))
"""
NAMES = ("distinct", "unique")
PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py.py")


SITE = Path(pytest.__file__).parent.parent


def copy_pytest() -> str:
    """A command that gives an environment the pytest of these tests, without a registry."""
    found = " ".join(str(SITE / name) for name in PYTEST if (SITE / name).exists())
    return f"cp -r {found} $(python -c \"import sysconfig; print(sysconfig.get_path('purelib'))\")"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration for a repository with two commits that each make one of two functions faster."""
    monkeypatch.setenv("UV_FIND_LINKS", str(SITE))  # a build sees no folder of the machine but what settings name
    repository = tmp_path / "kit"
    who = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def commit(message: str, files: dict[str, str]) -> None:
        for path, text in files.items():
            (repository / path).parent.mkdir(parents=True, exist_ok=True)
            (repository / path).write_text(text)
        for arguments in (["add", "-A"], ["commit", "-qm", message]):
            subprocess.run(["git", *arguments], cwd=repository, check=True, env=os.environ | who)

    repository.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=repository, check=True)
    commit(
        "Start",
        {
            "kit/__init__.py": "".join(f"from kit.{name} import {name}\n" for name in NAMES),
            **{f"kit/{name}.py": CODE.format(name=name) for name in NAMES},
            **{f"benchmarks/bench_{name}.py": BENCHMARK.format(name=name) for name in NAMES},
            **{f"tests/test_{name}.py": TEST.format(name=name) for name in NAMES},
            "asv.conf.json": '{"benchmark_dir": "benchmarks"}',
        },
    )
    for name in NAMES:
        commit(f"Speed up {name} in linear time", {f"kit/{name}.py": FASTER.format(name=name)})
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "repository": {"name": "o/kit", "url": str(repository)},
                "environment": {"install_project": False, "pin_to_date": False, "install_commands": [copy_pytest()]},
                "perf_tests": {"sources": ["pytest", "asv"], "min_duration_s": 0.001, "screen_rounds": 0},
                "store": str(tmp_path / "store"),
            }
        )
    )
    return path


def test_a_killed_run_goes_on_from_there(config: Path, isobench: Isobench, server: dict[str, str]) -> None:
    store = Store(config.parent / "store")
    process = subprocess.Popen(
        command("perftests", config), env=environment() | server, start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while not store.rows(PerfTest) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    written = {row.test_id: row for row in store.rows(PerfTest)}
    assert written, "no perf test was written before the deadline"

    again = isobench("perftests", config)
    assert again.returncode == 0, again.stdout + again.stderr
    rows = {row.test_id: row for row in Store(store.root).rows(PerfTest)}
    assert set(written) <= set(rows)
    assert {(row.source, row.status) for row in rows.values()} == {("pytest", "accepted"), ("asv", "accepted")}, rows
    assert len({(row.sha, row.source) for row in rows.values()}) == 4
    benchmarks = [row for row in rows.values() if row.source == "asv"]
    kinds = {(row.sha, row.script.rpartition("COMBINATION = ")[2][:1]) for row in benchmarks}
    assert len(kinds) == 4  # two combinations of parameters for each commit; the killed run may have written one twice
    found = re.search(r"(\d+) from the cache", again.stdout)
    assert found
    assert int(found[1]) > 0
