"""Instances by hand: one JSON line is enough."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage import tables
from storage.datasets import DatasetError, dialect_of, is_file, read_instances
from storage.ids import perf_test_id
from storage.store import Store
from storage.tables import Instance

SCRIPT = "def setup(seed): ...\ndef experiment(state): ...\ndef check_equivalence(reference, candidate): ...\n"
LINE = {"instance_id": "a__b-1", "repo": "a/b", "repo_url": "/srv/b", "base_commit": "1" * 40, "patch": "diff",
        "efficiency_test": [SCRIPT]}  # fmt: skip


def write(path: Path, *records) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return path


def test_the_least_that_is_needed(tmp_path):
    (row,), problems = read_instances(write(tmp_path / "i.jsonl", LINE))
    assert problems == []
    assert (row.instance_id, row.repo_url, row.head_commit, row.created_at) == ("a__b-1", "/srv/b", "", None)


def test_everything_that_may_be_said(tmp_path):
    full = Instance(
        **LINE, created_at=datetime(2024, 1, 1, tzinfo=UTC), head_commit="2" * 40, human_performance=1.5,
        duration_changes=[tables.TestDurations(base=[1.0], head=[0.5])], install_commands=["make"],
        test_ids=[perf_test_id("a/b", "2" * 40, SCRIPT, "isobench")], dialects=["isobench"],
    )  # fmt: skip
    path = tmp_path / "i.jsonl"
    path.write_text(full.model_dump_json() + "\n")
    assert read_instances(path) == ([full], [])
    store = Store(tmp_path / "store")
    store.append([full])
    assert read_instances(tmp_path / "store") == ([full], [])


def test_names_of_other_benchmarks(tmp_path):
    record = {
        "instance_id": "x", "repo": "a/b", "base_commit": "1", "opt_commit": "2", "gt_diff": "d", "tests": SCRIPT,
        "created_at": "2024-05-01T00:00:00Z", "duration_changes": [{"base": 2.0, "head": 1.0}], "arch": "x86",
    }  # fmt: skip
    (row,), problems = read_instances(write(tmp_path / "i.jsonl", record))
    assert problems == []
    assert (row.head_commit, row.patch, row.efficiency_test) == ("2", "d", [SCRIPT])
    assert row.repo_url == "https://github.com/a/b.git"
    assert row.duration_changes == [tables.TestDurations(base=[2.0], head=[1.0])]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ("nope", "not JSON"),
        ({**LINE, "base_commit": None}, "base_commit: missing"),
        ({**LINE, "efficiency_test": []}, "efficiency_test: missing"),
        ({**LINE, "patch": ""}, "head_commit: missing, and so is patch"),
        ({**LINE, "efficiency_test": [1]}, "efficiency_test.0: expected the text of a script, not int"),
        ({**LINE, "created_at": "yesterday"}, "created_at: Input should be a valid datetime"),
        (LINE, "instance_id: a__b-1 appears twice"),
        ({**LINE, "repo_url": "https://me:pass@host/a/b"}, "repo_url: Value error, holds a password or token"),
    ],
)
def test_problems_name_file_line_and_field(tmp_path, record, problem):
    path = write(tmp_path / "i.jsonl", LINE, record)
    found, problems = read_instances(path)
    assert len(found) == 1
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}:2: {problem}")


def test_neither_file_nor_store(tmp_path):
    with pytest.raises(DatasetError, match="neither a store nor"):
        read_instances(tmp_path / "nothing")
    assert is_file("x.jsonl")
    assert not is_file("store")


@pytest.mark.parametrize(
    ("script", "dialect"),
    [
        ("def setup(seed): ...\ndef experiment(state): ...", "isobench"),
        ("def setup(): ...\ndef experiment(): ...", "gso"),
        ("def run_test(eqcheck=False, reference=False, prefix=''): ...", "gso"),
        ("def broken(:", "isobench"),
    ],
)
def test_dialects_are_recognised_by_their_functions(script, dialect):
    assert dialect_of(script) == dialect
