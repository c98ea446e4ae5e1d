"""Prediction files as people write them."""

import json
from pathlib import Path

import polars as pl
import pytest

from storage.exchange.read import TEXT_LIMIT, DatasetError
from storage.store import Store
from storage.tables import Instance, Prediction
from storage.texts import to_bytes
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


@pytest.mark.parametrize("key", ["model_patch", "prediction", "patch", "git_patch", "diff", "output"])
def test_names_of_the_patch_in_guides_and_harnesses(store, tmp_path, key):
    record = {"instance_id": "a__b-1", "model": "m", key: "x"}
    loaded = read_predictions([lines(tmp_path / "p.jsonl", record)], None, store)
    assert ([row.model_patch for row in store.rows(Prediction)], loaded.problems) == (["x"], [])


def test_the_first_name_of_the_patch_counts_even_if_it_says_nothing(store, tmp_path):
    read_predictions([lines(tmp_path / "p.jsonl", {**LINE, "model_patch": None, "output": "I gave up"})], None, store)
    assert [row.model_patch for row in store.rows(Prediction)] == [""]


TOO_MUCH = [
    ({"model_patch": "a\ud83d"}, "model_patch: line 1 holds half of a character (U+D83D)"),
    ({"model_patch": "x" * (TEXT_LIMIT + 1)}, "model_patch: longer than 16 Mi characters"),
    ({"model_patch": ["x"]}, "model_patch: expected text or null, not list"),
    ({"model_name_or_path": "m\ud800"}, "model_name_or_path: holds characters that cannot be printed: 'm\\ud800'"),
    ({"model_name_or_path": "m\x1b[31m"}, "model_name_or_path: holds characters that cannot be printed: 'm\\x1b[31m'"),
    ({"model_name_or_path": {"name": "m"}}, "model_name_or_path: expected text"),
    ({"agent": ["x"]}, "agent: expected text"),
    ({"instance_id": "a\0b"}, "instance_id: holds characters that cannot be printed: 'a\\x00b'"),
    ({"instance_id": "../../../etc/passwd"}, "instance_id: cannot be the name of a file: '../../../etc/passwd'"),
    ({"instance_id": "/etc/passwd"}, "instance_id: cannot be the name of a file"),
    ({"instance_id": "i" * 1000}, "instance_id: longer than 300 characters"),
    ({"trajectory": [[[[]]]]}, "trajectory: Input should be a valid string"),
    ({"sample": 2**63}, "sample: too large"),
    ({"steps": 2**63}, "steps: too large"),
    ({"steps": 1e30}, "steps: too large"),
    ({"steps": 1.5}, "steps: expected a whole number, not 1.5"),
    ({"steps": True}, "steps: expected a number from 0, not True"),
    ({"sample": -1}, "sample: expected a number from 0, not -1"),
    ({"tokens_in": float("inf")}, "tokens_in: expected a number from 0, not inf"),
    ({"cost_usd": float("inf")}, "cost_usd: expected a number from 0, not inf"),
    ({"duration_s": {"s": 1}}, "duration_s: expected a number from 0, not a dict of 1"),
]


@pytest.mark.parametrize(("change", "problem"), TOO_MUCH, ids=lambda value: str(value)[:40])
def test_what_no_table_can_hold_costs_its_own_line(store, tmp_path, change, problem):
    path = lines(tmp_path / "p.jsonl", {**LINE, **change}, {**LINE, "model_name_or_path": "other"})
    loaded = read_predictions([path], None, store)
    assert [row.model for row in store.rows(Prediction)] == ["other"]
    assert len(loaded.problems) == 1
    assert loaded.problems[0].startswith(f"{path}:1: {problem}")
    assert all(text.isprintable() and len(text) < 500 for text in loaded.problems)


ODD = [{"model_patch": "caf\udce9"}, {"model_patch": "a\0b"}, {"trajectory": "t\ud800"}, {"trajectory": "t\0"},
       {"model_name_or_path": "../../etc/passwd"}, {"model_name_or_path": "openai/é"}, {"sample": 2.0},
       {"sample": float("nan")}, {"steps": 2**63 - 1}]  # fmt: skip


@pytest.mark.parametrize("change", ODD, ids=str)
def test_odd_values_that_a_table_can_hold_are_kept(store, tmp_path, change):
    loaded = read_predictions([lines(tmp_path / "p.jsonl", {**LINE, **change})], None, store)
    (row,) = store.rows(Prediction)
    assert loaded.problems == []
    assert to_bytes(row.model_patch) == change.get("model_patch", LINE["model_patch"]).encode(
        "utf-8", "surrogateescape"
    )


def test_samples_of_a_frame_are_whole_numbers(store, tmp_path):
    frame = pl.DataFrame([{**LINE, "sample": number, "steps": 3.0} for number in (0.0, 1.0, None)])
    frame.write_parquet(tmp_path / "p.parquet")
    loaded = read_predictions([tmp_path / "p.parquet"], None, store)
    assert loaded.problems == []
    assert sorted((row.sample, row.steps) for row in store.rows(Prediction)) == [(0, 3), (1, 3), (2, 3)]


def test_a_file_that_cannot_be_read_costs_no_other(store, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    good = lines(tmp_path / "p.jsonl", LINE)
    loaded = read_predictions([tmp_path / "bad.parquet", good], None, store)
    assert len(loaded.prediction_ids) == 1
    assert "not Parquet" in loaded.problems[0]
