"""Instances by hand: one JSON line is enough."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage import tables
from storage.exchange.read import DatasetError, is_file, read_instances
from storage.ids import perf_test_id
from storage.store import Store
from storage.tables import Instance
from storage.texts import to_bytes

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


NO_TEST = {"efficiency_test": None}
NODE = "tests/test_core.py::TestUnique::test_twice[1-a b]"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"efficiency_test": [NODE]}, "efficiency_test.0: 'tests/test_core.py::TestUnique::test_twice[1-a b]' is"),
        ({"efficiency_test": NODE}, "efficiency_test.0: 'tests/test_core.py::"),
        ({"efficiency_test": str([NODE])}, "efficiency_test.0: 'tests/test_core.py::"),
        ({"efficiency_test": json.dumps([NODE])}, "efficiency_test.0: 'tests/test_core.py::"),
        ({"efficiency_test": ["tests/test_core.py"]}, "efficiency_test.0: 'tests/test_core.py' is the name of"),
        ({"efficiency_test": ["pkg.tests.test_core"]}, "efficiency_test.0: the script does not define setup"),
        ({"efficiency_test": [SCRIPT, "def broken(:"]}, "efficiency_test.1: not Python, as version 3."),
        ({"efficiency_test": [SCRIPT + "'\0'"]}, "efficiency_test.0: not Python"),
        ({"efficiency_test": [SCRIPT + "'\ud83d'"]}, "efficiency_test.0: not Python: it holds half of a character"),
        ({"efficiency_test": ["(" * 100_000]}, "efficiency_test.0: not Python"),
        ({"efficiency_test": ["-" * 100_000 + "1"]}, "efficiency_test.0: not Python"),
        ({"efficiency_test": ['{"name": "x"}']}, "efficiency_test.0: not a command: command: Field required"),
        ({"efficiency_test": ["{" * 100_000]}, "efficiency_test.0: begins like a command, but is not JSON"),
        ({"efficiency_test": {"a": 1}}, "efficiency_test: expected a script or a list of scripts, not dict"),
        ({**NO_TEST, "workload": "import timeit"}, "efficiency_test: missing; `workload` is SWE-fficiency's"),
        ({**NO_TEST, "FAIL_TO_PASS": "[]"}, "efficiency_test: missing; this looks like a record of SWE-bench"),
        ({**NO_TEST, "container_name": "c"}, "efficiency_test: missing; this looks like a record of F"),
        ({"instance_id": 5}, "instance_id: expected text"),
        ({"instance_id": "a/../../b"}, "instance_id: cannot be the name of a file"),
        ({"instance_id": "a\x1b]0;x\x07"}, "instance_id: holds characters that cannot be printed: 'a\\x1b]0;x\\x07'"),
        ({"repo": "../.."}, "repo: cannot be the name of a file"),
        ({"repo": "../../../etc"}, "repo: cannot be the name of a file"),
        ({"repo": ["a", "b"]}, "repo: expected text"),
        ({"base_commit": "--output=/tmp/x"}, "base_commit: not the name of a commit"),
        ({"base_commit": 123456}, "base_commit: not the name of a commit: 123456"),
        ({"head_commit": "a..b"}, "head_commit: not the name of a commit"),
        ({"repo_url": "ext::sh -c id"}, "repo_url: neither a URL nor a path"),
        ({"repo_url": "--upload-pack=id"}, "repo_url: neither a URL nor a path"),
        ({"patch": "+\ud83d"}, "patch: line 1 holds half of a character"),
        ({"patch": ["d"]}, "patch: expected text or null, not list"),
        ({"human_performance": "fast"}, "human_performance: Input should be a valid number"),
        ({"environment": "{"}, "environment: "),
        ({"environment": '{"pakages": []}'}, "environment: pakages: "),
        ({"install_commands": "make"}, "install_commands: Input should be a valid list"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_what_cannot_be_run_later_is_said_at_once(tmp_path, change, problem):
    path = write(tmp_path / "i.jsonl", {**LINE, "instance_id": "other"}, {**LINE, **change})
    found, problems = read_instances(path)
    assert [row.instance_id for row in found] == ["other"]
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}:2: {problem}")
    assert problems[0].isprintable()
    Store(tmp_path / "store").append(found)


def test_a_patch_of_bytes_that_are_not_utf8_is_those_bytes(tmp_path):
    (row,), problems = read_instances(write(tmp_path / "i.jsonl", {**LINE, "patch": "+caf\udce9\n"}))
    assert (to_bytes(row.patch), problems) == (b"+caf\xe9\n", [])
    store = Store(tmp_path / "store")
    store.append([row])
    assert store.rows(Instance) == [row]


def test_names_in_a_store_of_others_are_looked_at_too(tmp_path):
    (row,), _ = read_instances(write(tmp_path / "i.jsonl", LINE))
    Store(tmp_path / "theirs").append([row, row.model_copy(update={"instance_id": "x", "base_commit": "--output=x"})])
    found, problems = read_instances(tmp_path / "theirs")
    assert found == [row]
    assert "base_commit: not the name of a commit: '--output=x'" in problems[0]


def test_a_byte_order_mark_is_no_part_of_a_script(tmp_path):
    (row,), _ = read_instances(write(tmp_path / "i.jsonl", {**LINE, "efficiency_test": "\ufeff" + SCRIPT}))
    assert row.efficiency_test == [SCRIPT]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"environment": '{"image": 5}'}, "environment: image"), ({"environment": "no JSON"}, "environment"),
        ({"environment": "[" * 100_000}, "environment"), ({"environment": '{"unknown": 1}'}, "environment: unknown"),
        ({"repo_url": "ftp://example.org/b"}, "repo_url"), ({"repo_url": "https://u:p@example.org/b"}, "repo_url"),
    ],
)  # fmt: skip
def test_a_bad_row_of_a_store_costs_no_other_one(tmp_path, more, field):
    (good,), _ = read_instances(write(tmp_path / "i.jsonl", LINE))
    bad = good.model_copy(update={"instance_id": "bad", **more})
    store = Store(tmp_path / "store")
    store.append([bad, good])
    found, [problem] = read_instances(tmp_path / "store")
    assert found == [good]
    assert f"'bad': {field}" in problem
