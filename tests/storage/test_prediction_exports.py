"""Predictions as SWE-bench reads them: nothing that is known is lost on the way out and back."""

from __future__ import annotations

import json

import pytest

from configs.errors import UserError
from storage.exchange.predictions import SWE_BENCH, export_predictions
from storage.files import get, put
from storage.ids import prediction_id
from storage.store import Store, StoreError
from storage.tables import Prediction
from tasks.agents.predictions import read_predictions


def prediction(sample: int, agent: str = "mini", patch: str = "diff --git a/x b/x\n", **more) -> Prediction:
    key = prediction_id("a__b-PR-1", "m", agent, sample, patch)
    return Prediction(
        prediction_id=key, instance_id="a__b-PR-1", repo="a/b", model="m", agent=agent, sample=sample,
        model_patch=patch, **more,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    store.append(
        [
            prediction(
                1, cost_usd=0.25, tokens_in=10, tokens_out=4, tokens_cache_read=3, tokens_cache_write=2,
                tokens_reasoning=1, requests=5, steps=4, duration_s=1.5, status="budget", reason="0.25 USD spent",
                agent_version="2.4.6", attempt_id="ab", trajectory="trajectories/x.json", trajectory_sha="cd",
                prompt_leak_rate=0.0, tool_leak_rate=0.5,
            ),
            prediction(0, patch=""),
            prediction(0, agent=""),
        ]
    )  # fmt: skip
    return store


def test_what_goes_out_comes_back(store, tmp_path):
    file = tmp_path / "predictions.jsonl"
    assert export_predictions(store, file) == 3
    other = Store(tmp_path / "other")
    loaded = read_predictions([file], None, other)
    assert loaded.problems == []
    assert {row.prediction_id: row for row in other.rows(Prediction)} == {
        row.prediction_id: row for row in store.rows(Prediction)
    }


def test_a_line_begins_with_what_swe_bench_wants_and_lacks_what_is_not_known(store, tmp_path):
    file = tmp_path / "predictions.jsonl"
    export_predictions(store, file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line.get("agent"), line["sample"]) for line in lines] == [(None, 0), ("mini", 0), ("mini", 1)]
    assert all(tuple(line)[:3] == SWE_BENCH for line in lines)
    assert set(lines[0]) == {*SWE_BENCH, "sample", "status"}
    again = tmp_path / "again.jsonl"
    export_predictions(store, again)
    assert again.read_bytes() == file.read_bytes()


def test_attempts_of_two_agents_with_one_model_are_not_one_contender():
    assert prediction(0).contender != prediction(0, agent="other").contender
    assert prediction(0, agent="").contender == "m"


def test_a_file_that_cannot_be_written_is_the_users_to_mend(store, tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*folder/predictions.jsonl"):
        export_predictions(store, tmp_path / "folder" / "predictions.jsonl")


def test_files_are_there_once_by_their_content(store, tmp_path):
    first, sha = put(store, "trajectories", b"what was done", ".json")
    assert put(store, "trajectories", b"what was done", ".json") == (first, sha)
    assert get(store, first) == b"what was done"
    assert first == f"trajectories/{sha[:2]}/{sha}.json"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store" / "logs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="lies in, a link"):
        put(store, "logs", b"x", ".log")
    assert list((tmp_path / "elsewhere").iterdir()) == []
