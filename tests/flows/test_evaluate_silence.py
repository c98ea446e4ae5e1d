"""What was asked for and not done is said, with the reason and the log, and the exit code tells."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from flows.evaluation import _missing
from flows.summaries import DatasetSummary, EvaluationSummary
from storage.store import Store
from storage.tables import Funnel, Instance, Prediction, Score
from tests.flows.conftest import Isobench

SCRIPT = "def setup(seed): ...\ndef experiment(state): ...\ndef check_equivalence(reference, candidate): ...\n"
BACKEND = "def build_wheel(*arguments, **more):\n    raise SystemExit('no compiler of Fortran 66')\n"
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "lib"\n'
PATCH = "--- a/lib.py\n+++ b/lib.py\n@@ -1 +1 @@\n-A = 1\n+A = 2\n"


def _repository(folder: Path) -> str:
    """A repository whose project cannot be built; returns its commit."""
    folder.mkdir()
    for name, text in {"pyproject.toml": PROJECT, "backend.py": BACKEND, "lib.py": "A = 1\n"}.items():
        (folder / name).write_text(text)
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "start"), ("rev-parse", "HEAD")):
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_environments_that_fail_and_lines_that_are_bad_are_said(tmp_path: Path, isobench: Isobench) -> None:
    sha = _repository(tmp_path / "lib")
    instance = {"instance_id": "me__lib-1", "repo": "me/lib", "repo_url": str(tmp_path / "lib"), "base_commit": sha,
                "patch": PATCH, "efficiency_test": [SCRIPT],
                "environment": '{"build": "always", "python": "3.11"}'}  # fmt: skip
    line = {"instance_id": "me__lib-1", "model_name_or_path": "fine", "model_patch": PATCH}
    dataset, predictions = tmp_path / "i.jsonl", tmp_path / "p.jsonl"
    tests = {**instance, "instance_id": "me__lib-2", "efficiency_test": ["tests/test_lib.py::test_a"]}
    dataset.write_text("".join(json.dumps(record) + "\n" for record in (instance, tests)))
    odd = [
        {**line, "model_patch": "\ud83d"},
        {**line, "sample": 2**63},
        {**line, "model_name_or_path": "m\ud800"},
        line,
    ]
    predictions.write_text("".join(json.dumps(record) + "\n" for record in odd))

    done = isobench("evaluate", "--dataset", dataset, "--predictions", predictions, "--store", tmp_path / "store")
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stderr.replace("\n", " ")
    for words in ("i.jsonl:2: efficiency_test.0: 'tests/test_lib.py::test_a' is the name of a pytest test",
                  "p.jsonl:1: model_patch: line 1 holds half of a character", "p.jsonl:2: sample: too large",
                  "p.jsonl:3: model_name_or_path: ", "error: environments me__lib-1: ", "no compiler of Fortran 66",
                  "error: nothing was timed, so none of the 1 predictions has an answer"):  # fmt: skip
        assert words in said
    (log,) = set(re.findall(r"\(log: ([^)]+)\)", said))
    assert "no compiler of Fortran 66" in Path(log).read_text()
    store = Store(tmp_path / "store")
    assert [row.model for row in store.rows(Prediction)] == ["fine"]
    assert [(row.status, row.opt_human) for row in store.rows(Score)] == [("not_timed", "inconclusive")]
    assert [row.outcome for row in store.rows(Funnel, stage="environments")] == ["failed"]


def _instance() -> Instance:
    return Instance(instance_id="i", repo="a/b", repo_url="u", created_at=None, base_commit="1", head_commit="2",
                    patch="p", efficiency_test=[SCRIPT])  # fmt: skip


def _score(status: str, reason: str) -> Score:
    return Score.model_validate(
        {"prediction_id": reason, "run_id": "r", "instance_id": "i", "model": "m", "sample": 0, "status": status,
         "reason": reason, "correct": None, "speedup_base": None, "speedup_human": None, "ci_low": None,
         "ci_high": None, "opt_base": "no", "opt_human": "no"}
    )  # fmt: skip


def test_each_way_to_have_timed_nothing_is_said() -> None:
    one, timed, patched = [_instance()], _score("ok", ""), _score("patch_failed", "corrupt")
    assert "holds no instance" in _missing([], [], [])[0]
    assert "no file of predictions" in _missing(one, [], [], named=False)[0]
    assert "no prediction is for one of the 1 instances" in _missing(one, [], [])[0]
    assert _missing(one, one, [timed, patched]) == []
    assert _missing(one, one, [patched]) == []  # an answer: it fails
    assert _missing(one, one, [timed, _score("not_timed", "x")]) == ["1 predictions were not timed: x"]
    assert "nothing was timed" in _missing(one, one, [_score("not_timed", "x")])[-1]


@pytest.mark.parametrize(("more", "code"), [({}, 0), ({"missing": ["x"]}, 1), ({"failures": {"x": "y"}}, 1)])
def test_what_is_missing_is_in_the_exit_code(more: dict[str, object], code: int) -> None:
    common = {"run_id": "r", "store": "s", "executed": 0, "cached": 0, "instances": [], **more}
    dataset = {"repo": "a/b", "head_sha": "1", "considered": 0, "candidates": 0, "perf_tests": 0}
    evaluation = {"predictions": 0, "statuses": {}, "opt_at_k": []}
    assert DatasetSummary.model_validate({**common, **dataset}).exit_code == code
    assert EvaluationSummary.model_validate({**common, **evaluation}).exit_code == code
