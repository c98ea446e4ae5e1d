"""Two workers that share a machine and a real Prefect server, but no /tmp, do not time at once."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from configs.variables import TEMPORARY_SERVER
from flows.engine.server import prefect_server
from storage.store import Store
from storage.tables import TimedSession

WORKER = """
import sys
from pathlib import Path
from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from tasks.sandbox.models import Arm, Environment
from tasks.timing.stage import time_arms

SCRIPT = '''
import time
def setup(seed): return seed
def experiment(state):
    time.sleep(0.15)
    return state
def check_equivalence(reference, candidate): assert reference == candidate
'''
store = Store(sys.argv[1])
(store.work / "c").mkdir()
environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
arms = [Arm(name=name, arm_id=name, checkout="c", environment=environment) for name in ("base", "human")]
timing = TimingConfig(min_rounds=3, max_rounds=3, processes=1, cores=1000)
time_arms.fn(
    "a/b", None, arms, "t", SCRIPT, "isobench", timing, ScoringConfig(), SandboxConfig(), sys.argv[1]
)
"""


@pytest.mark.slow
def test_sessions_of_two_containers_do_not_overlap(tmp_path: Path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PREFECT_API")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    with prefect_server(tmp_path / "server"):
        environment = {name: value for name, value in os.environ.items() if name != TEMPORARY_SERVER}
        workers = []
        for name in ("one", "two"):
            (tmp_path / f"tmp-{name}").mkdir()
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, str(tmp_path / name)],
                    env={**environment, "TMPDIR": str(tmp_path / f"tmp-{name}")},
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        for worker in workers:
            assert worker.wait(240) == 0, worker.stderr.read() if worker.stderr else ""
    one, two = sorted(
        (Store(tmp_path / name).rows(TimedSession)[0] for name in ("one", "two")), key=lambda row: row.started_at
    )
    assert one.cores == two.cores
    assert one.started_at + timedelta(seconds=one.duration_s) <= two.started_at
