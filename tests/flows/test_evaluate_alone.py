"""A canonical instance written by hand and three predictions, without any earlier store."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from configs.demo.build import build_demo_repository
from storage.store import Store
from storage.tables import Score
from tests.flows.conftest import Isobench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCRIPT = """
import random
from logkit import mask

def setup(seed):
    rng = random.Random(seed)
    return rng.randbytes(SIZE), rng.randbytes(8)

def experiment(state):
    return mask(*state)

def check_equivalence(reference, candidate):
    assert reference == candidate
"""


def _git(repository: Path, *arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=repository, text=True)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """(dataset of one line with two perf tests, predictions of three lines)."""
    repository = tmp_path / "logkit"
    build_demo_repository(repository)
    head = _git(repository, "log", "--format=%H", "--grep=Mask whole payloads").strip()
    patch = _git(repository, "diff", f"{head}^", head, "--", "src", "logkit", "*.py", ":!tests")
    dataset, predictions = tmp_path / "instances.jsonl", tmp_path / "predictions.jsonl"
    dataset.write_text(
        json.dumps(
            {
                "instance_id": "isobench-demo__logkit-PR-9",
                "repo": "isobench-demo/logkit",
                "repo_url": str(repository),
                "base_commit": f"{head}^",
                "head_commit": head,
                "patch": patch,
                "efficiency_test": [SCRIPT.replace("SIZE", "100_000"), SCRIPT.replace("SIZE", "150_000")],
            }
        )
        + "\n"
    )
    base = {"instance_id": "isobench-demo__logkit-PR-9", "model_name_or_path": "by-hand"}
    lines = [{**base, "model_patch": text} for text in (patch, "", "diff --git a/nowhere b/nowhere\nnonsense\n")]
    predictions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return dataset, predictions


def test_evaluate_needs_no_earlier_store(files: tuple[Path, Path], tmp_path: Path, isobench: Isobench) -> None:
    dataset, predictions = files
    store = tmp_path / "results"
    done = isobench("evaluate", "--dataset", dataset, "--predictions", predictions, "--k", "3", "--store", store)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = {row.sample: row for row in Store(store).rows(Score)}
    assert [scores[n].status for n in range(3)] == ["ok", "empty_patch", "patch_failed"]
    assert scores[0].opt_base == "yes"
    assert "by-hand" in done.stdout

    (tmp_path / "elsewhere").mkdir()
    dataset, predictions = (path.rename(tmp_path / "elsewhere" / path.name) for path in files)
    again = isobench("evaluate", "--dataset", dataset, "--predictions", predictions, "--k", "3", "--store", store)
    assert " 0 executed" in again.stdout, again.stderr
    assert len({row.run_id for row in Store(store).rows(Score)}) == 1


def test_a_missing_prediction_file_is_the_users_mistake(files: tuple[Path, Path], isobench: Isobench) -> None:
    done = isobench("evaluate", "--dataset", files[0], "--predictions", "nowhere.jsonl")
    assert done.returncode == 2
    assert "nowhere.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
