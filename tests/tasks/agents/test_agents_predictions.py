"""Prediction files as people write them."""

import json
from pathlib import Path

import polars as pl
import pytest

from storage.datasets import DatasetError
from storage.store import Store
from storage.tables import Instance, Prediction
from tasks.agents.predictions import read_predictions, repo_of

LINE = {"instance_id": "a__b-PR-1", "model_name_or_path": "m", "model_patch": "diff --git a/x b/x\n"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def lines(path: Path, *records) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return path


def test_samples_count_by_model_and_instance_over_all_files(store, tmp_path):
    one = lines(tmp_path / "one.jsonl", LINE, {**LINE, "model_name_or_path": "other"}, {**LINE, "model_patch": "y"})
    two = lines(tmp_path / "two.jsonl", {**LINE, "model_patch": "z"}, {**LINE, "instance_id": "a__b-PR-2"})
    loaded = read_predictions([one, two], None, store)
    rows = {row.prediction_id: row for row in store.rows(Prediction)}
    assert [(rows[key].model, rows[key].instance_id[-1], rows[key].sample) for key in loaded.prediction_ids] == [
        ("m", "1", 0), ("other", "1", 0), ("m", "1", 1), ("m", "1", 2), ("m", "2", 0),
    ]  # fmt: skip
    assert (loaded.models, loaded.problems) == (["m", "other"], [])
    assert {row.repo for row in rows.values()} == {"a/b"}


def test_columns_of_other_harnesses(store, tmp_path):
    record = {
        **LINE,
        "sample": 4,
        "cost": 0.25,
        "input_tokens": 10,
        "steps": 7,
        "agent": "x",
        "trajectory": "t",
        "extra": 1,
    }
    read_predictions([lines(tmp_path / "p.jsonl", record)], None, store)
    (row,) = store.rows(Prediction)
    assert (row.sample, row.cost_usd, row.tokens_in, row.steps, row.agent, row.trajectory) == (4, 0.25, 10, 7, "x", "t")


def test_a_null_patch_is_an_empty_one_and_a_missing_patch_is_said(store, tmp_path):
    without = {name: value for name, value in LINE.items() if name != "model_patch"}
    path = lines(tmp_path / "p.jsonl", {**LINE, "model_patch": None}, {**LINE, "model_patch": ""}, without)
    loaded = read_predictions([path], None, store)
    assert [row.model_patch for row in store.rows(Prediction)] == ["", ""]
    (problem,) = loaded.problems
    assert problem.startswith(f"{path}:3: model_patch: missing, and so are prediction, patch,")


def test_bad_lines_are_listed_and_the_rest_goes_on(store, tmp_path):
    path = lines(
        tmp_path / "p.jsonl", "{not json", "", "[1]", {"model_patch": "x"}, {"instance_id": "a", "model_patch": "x"},
        {**LINE, "model_patch": 3}, {**LINE, "sample": "two"}, {**LINE, "sample": 1}, {**LINE, "sample": 1},
        {**LINE, "cost_usd": "cheap"}, {**LINE, "instance_id": 5}, LINE,
    )  # fmt: skip
    loaded = read_predictions([path], None, store)
    assert len(loaded.prediction_ids) == 2
    found = [problem.removeprefix(f"{path}:") for problem in loaded.problems]
    assert [problem.split(":")[0] for problem in found] == ["1", "3", "4", "5", "6", "7", "9", "10", "11"]
    text = "\n".join(found)
    assert all(word in text for word in WORDS)


WORDS = [
    "not JSON", "expected a JSON object, not list", "instance_id: missing", "model_name_or_path: missing", "cost_usd:",
    "model_patch: expected text or null, not int", "sample: expected a number", "read already",
    "instance_id: expected text",
]  # fmt: skip


def test_unknown_instances_are_counted_and_left_out(store, tmp_path):
    path = lines(tmp_path / "p.jsonl", LINE, {**LINE, "instance_id": "z"}, {**LINE, "instance_id": "z"})
    loaded = read_predictions([path], ["a__b-PR-1"], store)
    assert loaded.unknown_instances == {"z": 2}
    assert loaded.problems == ["z: not in the dataset (2 predictions)"]
    assert len(store.rows(Prediction)) == 1


def test_the_same_content_is_read_once(store, tmp_path):
    one, two = (lines(tmp_path / f"{name}.jsonl", LINE) for name in ("one", "two"))
    loaded = read_predictions([one, two], None, store)
    assert len(loaded.prediction_ids) == 1
    assert "the same content" in loaded.problems[0]


def test_json_and_parquet(store, tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([LINE]))
    (tmp_path / "map.json").write_text(json.dumps({"a__b-PR-1": {"model_name_or_path": "n", "model_patch": "x"}}))
    pl.DataFrame([{**LINE, "model_name_or_path": "o"}]).write_parquet(tmp_path / "p.parquet")
    loaded = read_predictions([tmp_path / name for name in ("list.json", "map.json", "p.parquet")], None, store)
    assert loaded.models == ["m", "n", "o"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("p.csv", b"a", "expected .jsonl"), ("p.json", b"{", "not JSON"), ("p.parquet", b"PAR", "not Parquet"),
     ("p.jsonl", b"\xff\xfe\x00", "p.jsonl"), ("gone.jsonl", None, "No such file")],
)  # fmt: skip
def test_files_that_cannot_be_read_are_the_users_mistake(store, tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        read_predictions([tmp_path / name], None, store)


@pytest.mark.parametrize(
    ("name", "repo"),
    [("a__b-PR-1", "a/b"), ("a__b-c-1a2b3c4", "a/b-c"), ("a__b_c__d-PR-2", "a/b_c__d"), ("own", ""), ("a-b__c", "")],
)
def test_repositories_of_instance_ids(name, repo):
    assert repo_of(name) == repo


def test_prompts_that_give_the_solution_away_are_told(store, tmp_path):
    patch = (
        "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@\n def pick(items):\n"
        "-    return [item for item in items if item in items]\n"
        "+    known = frozenset(items)\n+    return [item for item in items if item in known]\n"
    )
    instance = Instance(
        instance_id=LINE["instance_id"], repo="a/b", repo_url="x", created_at=None, base_commit="a" * 40,
        head_commit="b" * 40, patch=patch, efficiency_test=[],
    )  # fmt: skip
    store.append([instance])
    prompts = ["Make pick faster.", "Make pick faster: known = frozenset(items)", None]
    records = [{**LINE, "prompt": prompt} for prompt in prompts]
    other = {**LINE, "instance_id": "a__b-PR-2", "prompt": "Make it faster."}
    loaded = read_predictions([lines(tmp_path / "p.jsonl", *records, other)], None, store)
    rates = {(row.instance_id[-1], row.sample): row.prompt_leak_rate for row in store.rows(Prediction)}
    assert rates == {("1", 0): 0, ("1", 1): 0.5, ("1", 2): None, ("2", 0): None}
    assert loaded.problems[0].startswith("1 predictions had a prompt with lines of the human's diff, up to 50% of them")
    assert len(loaded.problems) == 1
