"""A sweep finds the change that made a test faster, though no word says so; again, it times nothing anew."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from storage.store import Store
from storage.tables import SweepComparison
from tests.flows.conftest import Isobench

SLOW = """
def unique(values):
    found = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
"""
FAST = """
def unique(values):
    return list(dict.fromkeys(values))
"""
TEST = """
from letters import unique


def test_unique():
    assert unique(list(range({size})) * 2) == list(range({size}))
"""
CONFIG = """
repository: {{name: tests/letters, url: {url}}}
environment: {{install_project: false, pin_to_date: false, packages: [pytest]}}
perf_tests: {{min_duration_s: 0.0005}}
sweep: {{window: 8, tests_per_window: 1, min_step: 1.5}}
timing: {{budget_s: 60, processes: 1, min_rounds: 3}}
"""
STEP = 5


def history(folder: Path) -> list[str]:
    """Nine commits of a small library; that of number STEP replaces the algorithm and speaks of tidying."""
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_letters.py").write_text(TEST.format(size=2000))
    shas = []
    for number in range(9):
        (folder / "letters.py").write_text((FAST if number >= STEP else SLOW) + f"\n\nVERSION = {number}\n")
        subprocess.run([*git, "add", "-A"], check=True)
        message = "Tidy up" if number == STEP else f"Version {number}"
        subprocess.run([*git, "commit", "-q", "-m", message], check=True)
        shas.append(subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout[:40])
    return shas


@pytest.mark.slow
def test_a_step_is_found_without_words(isobench: Isobench, tmp_path: Path) -> None:
    shas = history(tmp_path / "letters")
    config, store = tmp_path / "letters.yaml", tmp_path / "store"
    config.write_text(CONFIG.format(url=(tmp_path / "letters").as_uri()))
    done = isobench("sweep", config, "--store", store)
    assert done.returncode == 0, done.stderr + done.stdout
    rows = Store(str(store)).rows(SweepComparison, "tests/letters")
    steps = [row for row in rows if row.kind == "step" and row.verdict == "yes"]
    assert [(row.base_sha, row.head_sha) for row in steps] == [(shas[STEP - 1], shas[STEP])]
    assert (steps[0].ci_low or 0) > 1.5
    assert f"mining.commits=[{shas[STEP][:10]}]" in done.stdout
    assert "low_score" in done.stdout, "mining's own word on the change"
    again = isobench("sweep", config, "--store", store)
    assert again.returncode == 0, again.stderr
    assert re.search(r"Task runs: [01] executed", again.stdout), again.stdout  # the clone may look for news
