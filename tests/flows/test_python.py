"""Flows called from Python, without a command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.conftest import environment

SCRIPT = """
from flows.dataset import build_dataset

summary = build_dataset("configs/demo/demo.yaml", store={store!r}, until="mining")
print(summary.considered, summary.candidates, summary.failures)
"""


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["server", "no-server"])
def test_a_flow_is_a_function_that_returns_a_summary(own: bool, tmp_path: Path, server: dict[str, str]) -> None:
    """With a server there, and without: then Prefect starts one for the script, which takes half a minute."""
    given = {"PREFECT_HOME": str(tmp_path / "prefect"), "DO_NOT_TRACK": "1"} if own else server
    variables = environment() | given
    script = SCRIPT.format(store=str(tmp_path / "store"))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=variables, capture_output=True, text=True, check=True, timeout=250
    )
    assert done.stdout.splitlines()[-1] == "25 7 {}"
