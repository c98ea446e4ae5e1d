"""What is done stays done: after a change of one perf test, and after a kill in the middle."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml

from configs.demo.build import build_demo_repository
from storage.store import Store
from storage.tables import Comparison, Funnel, Instance, Measurement, PerfTest, Row
from tests.flows.conftest import Isobench, command, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SCRIPT = """
import random
from logkit import {module}

def setup(seed):
    rng = random.Random(seed)
    return {workload}

def experiment(state):
    return {call}

def check_equivalence(reference, candidate):
    assert reference == candidate
"""
MASK = SCRIPT.format(module="mask", workload="(rng.randbytes({size}), rng.randbytes(8))", call="mask(*state)")
FRAMES = SCRIPT.format(
    module="join_frames, split_frames",
    workload="join_frames([rng.randbytes(rng.randrange(8, 64)) for _ in range({size})])",
    call="split_frames(state)",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with two user-written perf tests for two commits of the demo repository.

    The tests share its store: each needs a build that is whole, and leaves one.
    """
    tmp_path = tmp_path_factory.mktemp("resume")
    repository = tmp_path / "logkit"
    build_demo_repository(repository)
    shas = {subject: sha for sha, subject in _log(repository)}
    seeded = {
        shas["Mask whole payloads at once (#9)"]: ["mask.py"],
        shas["Do not copy the rest of the buffer for every frame"]: ["frames.py"],
        "deadbeef": ["mask.py"],  # no such commit: the funnel says so
    }
    (tmp_path / "mask.py").write_text(MASK.replace("{size}", "120_000"))
    (tmp_path / "frames.py").write_text(FRAMES.replace("{size}", "5_000"))
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "repository": {"name": "isobench-demo/logkit", "url": str(repository)},
                "environment": {"install_project": False, "pin_to_date": False},
                "perf_tests": {"sources": ["seeded"], "seeded": seeded},
                "timing": {"processes": 2, "budget_s": 20},
                "store": str(tmp_path / "store"),
            }
        )
    )
    return path


def _log(repository: Path) -> list[tuple[str, str]]:
    lines = subprocess.check_output(["git", "log", "--format=%H %s"], cwd=repository, text=True).splitlines()
    return [(line[:40], line[41:]) for line in lines]


def _sessions(config: Path) -> dict[str, str]:
    """Perf test -> the session that timed it last."""
    return {row.test_id: row.session_id for row in Store(config.parent / "store").rows(Comparison)}


def _servers(store: Store) -> list[psutil.Process]:
    """Processes whose environment names the store's Prefect database."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if store.root in process.environ().get("PREFECT_API_DATABASE_CONNECTION_URL", ""):
                found.append(process)
    return found


def _executed(stdout: str) -> int:
    found = re.search(r"(\d+) executed", stdout)
    assert found, stdout
    return int(found[1])


def _stopped(config: Path, how: signal.Signals, row: type[Row]) -> list[Row]:
    """Start a build, with a Prefect server of its own, and stop it when there are rows of a kind: those rows."""
    store = Store(config.parent / "store")
    process = subprocess.Popen(
        command("build", config), env=environment(), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    while not store.rows(row) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    done = store.rows(row)
    if how == signal.SIGKILL:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    _, stderr = process.communicate(timeout=100)
    assert done, f"no row of {row.table} before the deadline: {stderr}"
    if how == signal.SIGINT:
        assert process.returncode == 130, stderr
        assert "the same command goes on from there" in stderr
    gone = time.monotonic() + 60
    while (left := _servers(store)) and time.monotonic() < gone:
        time.sleep(0.2)
    assert left == [], "a temporary Prefect server outlived its command"
    return done


def test_a_run_that_was_stopped_goes_on_from_there(config: Path, isobench: Isobench) -> None:
    store = Store(config.parent / "store")
    written = {row.test_id: row for row in _stopped(config, signal.SIGINT, PerfTest)}
    timed = {row.session_id for row in _stopped(config, signal.SIGKILL, Comparison)}
    assert {row.test_id: row for row in store.rows(PerfTest)}.items() >= written.items()

    again = isobench("build", config)
    assert again.returncode == 0, again.stdout + again.stderr
    fresh = Store(store.root)
    assert len(fresh.rows(PerfTest)) == len(_sessions(config)) == len(fresh.rows(Instance)) == 2
    sessions = {row.session_id for row in fresh.rows(Measurement)}
    assert timed <= sessions
    funnel = fresh.rows(Funnel)
    scripted = {row.sha for row in fresh.rows(PerfTest)}
    assert {row.key for row in funnel if row.stage == "environments"} == scripted  # the others need none
    [unknown] = [row for row in funnel if row.key == "deadbeef"]
    assert unknown.outcome == "dropped"
    assert "did not come here" in unknown.reason
    assert len(sessions) <= 2 + 1  # at most the one that was cut short
    third = isobench("build", config)
    assert _executed(third.stdout) == 0


def test_a_changed_perf_test_re_runs_only_what_depends_on_it(config: Path, isobench: Isobench) -> None:
    first = isobench("build", config)
    assert first.returncode == 0, first.stdout + first.stderr
    before = _sessions(config)
    assert len(before) == 2
    (config.parent / "mask.py").write_text(MASK.replace("{size}", "150_000"))
    second = isobench("build", config)
    assert second.returncode == 0, second.stderr
    after = _sessions(config)
    assert len(after) == 3
    assert {test: after[test] for test in before} == before  # neither of the old sessions was run again
    assert _executed(second.stdout) == 5  # of one commit: perf tests, session, instance, statement; and the report
