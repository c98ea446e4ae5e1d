"""Views of instances: nothing is lost in the canonical one, the others have the fields that their readers want."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from configs.errors import UserError
from storage import tables
from storage.exchange.export import export, records, swe_perf
from storage.exchange.read import instance_from, read_instances
from storage.scripts import perf_tests_of
from storage.store import Store
from storage.tables import Commit, Instance
from tests.poison import MARKUP, STEERS, TERMINAL

GSO_FIELDS = {
    "instance_id", "repo", "base_commit", "opt_commit", "api", "prob_script", "tests", "hints_text", "setup_commands",
    "install_commands", "created_at", "gt_commit_message", "gt_diff", "arch", "instance_image_tag",
}  # fmt: skip
SWE_PERF_FIELDS = {
    "repo", "instance_id", "patch", "test_patch", "base_commit", "head_commit", "created_at", "version",
    "duration_changes", "efficiency_test", "patch_functions", "problem_statement_oracle", "test_functions",
    "problem_statement_realistic", "human_performance",
}  # fmt: skip


FUNCTIONS = "def setup(seed): ...\ndef experiment(state): ...\ndef check_equivalence(reference, candidate): ...\n"
SCRIPTS = [f"# one\n{FUNCTIONS}", f"# two\n{FUNCTIONS}"]


def instance(number: int, **changes) -> Instance:
    data = {
        "instance_id": f"acme__logkit-PR-{number}", "repo": "acme/logkit", "repo_url": "https://example.org/a.git",
        "created_at": datetime(2024, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "base_commit": "b" * 40,
        "head_commit": f"{number:040x}", "patch": "--- a/ü.py\n+++ b/ü.py\n\u2028 'x'\n", "test_patch": "t",
        "api": "logkit.split", "efficiency_test": SCRIPTS, "test_functions": ["split", "split"],
        "duration_changes": [
            tables.TestDurations(base=[1.0, 1.25, 1.5], head=[0.5, 0.25]),
            tables.TestDurations(base=[2.0, 2.5], head=[1.0, 1.5]),
        ],
        "human_performance": 2.5, "human_ci_low": 2.0, "human_ci_high": 3.0, "setup_commands": ["s"],
        "install_commands": ["uv pip install ."], "gt_commit_message": "Split faster\n\nBody", "snapshot": "abc",
    }  # fmt: skip
    made = Instance.model_validate({**data, **changes})
    tests = perf_tests_of(made)
    return made.model_copy(
        update={"test_ids": [test.test_id for test in tests], "dialects": [test.dialect for test in tests]}
    )


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    store.append([instance(2), instance(1), instance(3, repo="other/lib", instance_id="other__lib-1234567")])
    store.append(
        [
            Commit(
                repo="acme/logkit", sha=f"{1:040x}", parent_sha=None, author_date=datetime(2024, 1, 1, tzinfo=UTC),
                subject="s", message="m", kept=True, reason="",
                functions_changed=["logkit/a.py::split", "logkit/a.py::Frame.next", "logkit/b.py::join"],
            )
        ]
    )  # fmt: skip
    return store


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_canonical_goes_out_and_comes_back(store, tmp_path):
    path = tmp_path / "out" / "instances.jsonl"
    assert export(store, path) == 3
    found, problems = read_instances(path)
    assert problems == []
    assert found == sorted(store.rows(Instance), key=lambda row: row.instance_id)
    again = Store(tmp_path / "again")
    again.append(found)
    assert export(again, tmp_path / "again.jsonl") == 3
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    assert pl.read_ndjson(path).height == 3


def test_gso_has_its_fields_and_comes_back(store, tmp_path):
    path = tmp_path / "gso.jsonl"
    assert export(store, path, "gso", repo="acme/logkit") == 2
    record = lines(path)[0]
    assert set(record) == GSO_FIELDS
    assert (record["opt_commit"], record["prob_script"], record["tests"]) == (f"{1:040x}", SCRIPTS[0], SCRIPTS)
    (back, _), problems = read_instances(path)
    assert problems == []
    names = ("instance_id", "repo", "base_commit", "head_commit", "patch", "efficiency_test", "install_commands")
    assert [getattr(back, name) for name in names] == [getattr(instance(1), name) for name in names]


def test_swe_perf_has_its_fields(store, tmp_path):
    record = next(iter(records(store, "swe-perf")))
    assert set(record) == SWE_PERF_FIELDS | {"efficiency_script", "PASS_TO_PASS", "FAIL_TO_PASS"}
    assert record["efficiency_test"] == ["split", "split#2"]
    assert json.loads(record["duration_changes"]) == [
        {"split": {"base": 1.0, "head": 0.5}, "split#2": {"base": 2.0, "head": 1.0}},
        {"split": {"base": 1.25, "head": 0.25}, "split#2": {"base": 2.5, "head": 1.5}},
    ]
    assert json.loads(record["patch_functions"]) == {"logkit/a.py": ["split", "Frame.next"], "logkit/b.py": ["join"]}
    assert record["human_performance"] == pytest.approx(0.5)  # 2.0x at the lower end: half of the time
    assert record["problem_statement_oracle"] == ""


@pytest.mark.parametrize("layout", ["isobench", "gso", "swe-perf"])
def test_bare_instances_go_out_in_every_layout(tmp_path, layout):
    store = Store(tmp_path / "store")
    store.append([instance(1, efficiency_test=[], test_functions=[], duration_changes=[], human_performance=None,
                           human_ci_low=None, api="", created_at=None)])  # fmt: skip
    assert export(store, tmp_path / "x.jsonl", layout) == 1
    assert export(Store(tmp_path / "empty"), tmp_path / "none.jsonl", layout) == 0
    assert (tmp_path / "none.jsonl").read_text() == ""


def test_a_place_that_cannot_be_written_keeps_the_old_file(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/x\.jsonl"):
        export(store, tmp_path / "file" / "x.jsonl")


@pytest.mark.parametrize("layout", ["isobench", "gso", "swe-perf"])
def test_an_export_is_exact_and_safe_to_look_at(store, tmp_path, layout):
    bad = "".join([*TERMINAL.values(), *MARKUP.values()])
    store.append([instance(4, instance_id=bad, patch=bad, gt_commit_message=bad)])
    export(store, tmp_path / "out.jsonl", layout)
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert not STEERS.search(text)
    assert "ü.py" in text
    assert [json.loads(line) for line in text.split("\n")[:-1]] == list(records(store, layout))


@pytest.mark.parametrize("value", [["tests/test_a.py::test_a[x y]"], '["tests/test_a.py::test_a[x y]"]'])
def test_the_repositorys_own_tests_are_read_as_swe_bench_writes_them(store, value):
    record = next(iter(records(store, "isobench")))
    record = {name: found for name, found in record.items() if name not in ("pass_to_pass", "weakly_checked")}
    row = instance_from({**record, "PASS_TO_PASS": value})
    assert row.pass_to_pass == ["tests/test_a.py::test_a[x y]"]
    assert not row.weakly_checked
    assert json.loads(swe_perf(row)["PASS_TO_PASS"]) == row.pass_to_pass
    assert instance_from({**record, "weakly_checked": False}).weakly_checked  # without tests whatever it says
    for bad in (["", "x"], [1], {"a": 1}, ["x" * 3000]):
        assert str(instance_from({**record, "pass_to_pass": bad})).startswith("pass_to_pass: ")
