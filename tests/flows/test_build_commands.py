"""`isobench build` on a repository that serves: its speedup is proved by a command, on real requests."""

import json
import subprocess
from pathlib import Path

import pytest

from storage.store import Store
from storage.tables import Instance, MetricComparison, PerfTest
from tests.flows.conftest import Isobench
from tests.tasks.sandbox.commands.workload import FAST, SLOW, files, write

pytestmark = pytest.mark.quiet

CONFIG = """
repository: {name: ours/serve, url: REPOSITORY}
perf_tests:
  sources: [command]
  commands:
    - name: serving
      server: python3 -m serve.server {port}
      ready: {url: "http://127.0.0.1:{port}/health", timeout_s: 60}
      command: python3 -m serve.client {port} {seed}
      parser: vllm-serve
      metrics: [request_throughput, mean_ttft_ms]
environment: {install_project: false, pin_to_date: false}
timing: {min_rounds: 4, max_rounds: 6, budget_s: 120}
"""


def _git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    return subprocess.check_output(["git", *identity, *arguments], cwd=repository, text=True)


@pytest.mark.slow
def test_a_faster_server_becomes_an_instance(tmp_path: Path, isobench: Isobench):
    repository, store = tmp_path / "serve", tmp_path / "store"
    repository.mkdir()
    _git(repository, "init", "-q", "-b", "main")
    for work, subject in ((SLOW, "Serve tokens"), (FAST, "Generate tokens faster")):
        write(repository, files(work))
        _git(repository, "add", "-A")
        _git(repository, "commit", "-q", "-m", subject)
    config = tmp_path / "serve.yaml"
    config.write_text(CONFIG.replace("REPOSITORY", str(repository)))
    built = isobench("build", config, "--store", store)
    assert built.returncode == 0, built.stdout + built.stderr
    (test,) = Store(store).rows(PerfTest)
    assert (test.source, test.dialect, test.status) == ("command", "command", "accepted")
    (instance,) = Store(store).rows(Instance)
    assert instance.human_performance > 1.5
    assert json.loads(instance.efficiency_test[0])["name"] == "serving"
    metrics = {row.metric: row for row in Store(store).rows(MetricComparison)}
    assert [name for name, row in metrics.items() if row.primary] == ["request_throughput"]
