"""A canonical instance written by hand and five predictions, without any earlier store."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from configs.demo.build import build_demo_repository
from configs.demo.truth import patch_file
from storage.ids import patch_id
from storage.store import Store
from storage.tables import Measurement, Score
from tests.flows.conftest import Isobench
from tests.hacks.forgeries import FORGERIES

pytestmark = [pytest.mark.slow, pytest.mark.quiet, pytest.mark.timeout(300)]

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


TESTS = (  # the last one came with a later commit: what the human's code does not pass is asked of nobody
    "test_mask",
    "test_twice_is_the_identity",
    "test_nothing",
    "test_empty_key",
)


def _git(repository: Path, *arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=repository, text=True)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """(dataset of one line with two perf tests and tests of the repository, predictions of five lines)."""
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
                "PASS_TO_PASS": json.dumps([f"tests/test_masking.py::MaskingTest::{name}" for name in TESTS]),
                "tests_of_change": len(TESTS),
                "efficiency_test": [SCRIPT.replace("SIZE", "100_000"), SCRIPT.replace("SIZE", "150_000")],
            }
        )
        + "\n"
    )
    base = {"instance_id": "isobench-demo__logkit-PR-9", "model_name_or_path": "by-hand"}
    broken = patch_file("masking", "leading-zeros").read_text()  # right for payloads that do not begin with zeros
    added = FORGERIES["swallows-in-the-runner"].splitlines()
    forged = broken.replace("+3,7 @@", f"+3,{7 + len(added)} @@") + "".join(f"+{line}\n" for line in added)
    nowhere = "diff --git a/nowhere b/nowhere\nnonsense\n"
    lines = [{**base, "model_patch": text} for text in (patch, "", nowhere, broken, forged)]
    predictions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return dataset, predictions


def test_evaluate_needs_no_earlier_store(files: tuple[Path, Path], tmp_path: Path, isobench: Isobench) -> None:
    dataset, predictions = files
    store = tmp_path / "results"
    done = isobench("evaluate", "--dataset", dataset, "--predictions", predictions, "--k", "3", "--store", store)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = {row.sample: row for row in Store(store).rows(Score)}
    assert [scores[n].status for n in range(5)] == ["ok", "empty_patch", "patch_failed", "incorrect", "incorrect"]
    assert scores[0].opt_base == "yes"
    assert scores[3].reason.startswith(
        "fails tests that base and human pass: 1 of 3, tests/test_masking.py::MaskingTest::test_twice_is_the_identity; "
    )
    assert scores[4].reason.startswith("forges the outcomes of tests: ")
    assert not any(row.weakly_checked for row in scores.values())
    timed = {row.arm for row in Store(store).rows(Measurement)}
    assert timed == {
        "base",
        "human",
        f"patch:{patch_id(json.loads(predictions.read_text().splitlines()[0])['model_patch'])}",
    }
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
