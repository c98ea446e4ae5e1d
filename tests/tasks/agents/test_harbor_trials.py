"""Trials of a Harbor job become attempts and predictions; whatever lies in a job folder harms nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.errors import UserError
from storage.files import get
from storage.store import Store
from storage.tables import Attempt, Instance, Prediction
from tasks.agents.harbor.trials import import_job
from tests.storage.test_exports import instance

PATCH = "--- a/logkit/frames.py\n+++ b/logkit/frames.py\n@@ -1 +1 @@\n-x = 1\n+already_seen = bucket_of(frames, 3)\n"
ATIF = {
    "schema_version": "ATIF-v1.8",
    "agent": {"name": "codex", "version": "0.171.0"},
    "steps": [
        {"step_id": 1, "source": "user", "message": "make it faster"},
        {"step_id": 2, "source": "agent", "message": [{"type": "text", "text": "I look"}],
         "observation": {"results": [{"content": "already_seen = bucket_of(frames, 3)"}, "odd"]}},
        {"step_id": 3, "source": "agent", "message": "done", "observation": None},
    ],
}  # fmt: skip


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    store.append([instance(1, patch=PATCH), instance(2, patch=PATCH)])
    return store


def result(ident: str, number: int = 1, agent: str = "codex", **more) -> dict:
    return {
        "id": ident, "task_name": f"isobench/acme__logkit-PR-{number}", "trial_name": ident,
        "agent_info": {"name": agent, "version": "0.171.0", "model_info": {"name": "gpt-6", "provider": "openai"}},
        "agent_result": {"n_input_tokens": 100, "n_cache_tokens": 40, "n_output_tokens": 9, "cost_usd": 0.5},
        "agent_execution": {"started_at": "2026-11-28T01:00:00Z", "finished_at": "2026-11-28T01:02:00Z"},
        **more,
    }  # fmt: skip


def trial(job: Path, ident: str, patch: str | None = PATCH, trajectory: object = None, **more) -> Path:
    folder = job / ident
    (folder / "verifier").mkdir(parents=True)
    (folder / "agent").mkdir()
    (folder / "result.json").write_text(json.dumps(result(ident, **more)))
    if patch is not None:
        (folder / "verifier" / "model.patch").write_text(patch)
    if trajectory is not None:
        (folder / "agent" / "trajectory.json").write_text(json.dumps(trajectory))
    return folder


def fault(kind: str) -> dict:
    return {"exception_info": {"exception_type": kind, "exception_message": "so\nit was", "exception_traceback": ""}}


def test_a_trial_is_an_attempt_with_its_trajectory_and_a_prediction(store, tmp_path):
    trial(tmp_path / "job", "a", trajectory=ATIF)
    done = import_job(tmp_path / "job", store)
    (row,), (prediction,) = store.rows(Attempt), store.rows(Prediction)
    assert (done.attempts, done.prediction_ids, done.problems) == ([row.attempt_id], [prediction.prediction_id], [])
    assert (row.agent, row.model, row.agent_version, row.status) == ("codex", "openai/gpt-6", "0.171.0", "submitted")
    assert (row.told_cost_usd, row.cost_usd, row.requests) == (0.5, None, 0), "the agent's word is no count of ours"
    assert (row.duration_s, row.steps, row.prompt_leak_rate, row.tool_leak_rate) == (120, 2, 0.0, 1.0)
    assert (prediction.model_patch, prediction.tokens_in, prediction.tokens_cache_read) == (PATCH, 100, 40)
    assert json.loads(get(store, prediction.trajectory)) == ATIF


def test_samples_count_on_and_a_job_that_is_read_again_changes_nothing(store, tmp_path):
    trial(tmp_path / "one", "a")
    trial(tmp_path / "one", "b", patch="")
    import_job(tmp_path / "one", store)
    trial(tmp_path / "two", "c")
    trial(tmp_path / "two", "d", number=2)
    import_job(tmp_path / "two", store)
    before = {row.attempt_id: row for row in store.rows(Attempt)}
    assert sorted((row.instance_id[-1], row.sample) for row in before.values()) == [
        ("1", 0), ("1", 1), ("1", 2), ("2", 0),
    ]  # fmt: skip
    predictions = store.rows(Prediction)
    import_job(tmp_path / "one", store)
    assert {row.attempt_id: row for row in store.rows(Attempt)} == before
    assert {row.prediction_id for row in store.rows(Prediction)} == {row.prediction_id for row in predictions}


@pytest.mark.parametrize(
    ("kind", "patch", "status", "answered"),
    [
        ("AgentTimeoutError", PATCH, "timeout", True),
        ("AgentTimeoutError", None, "timeout", True),
        ("NonZeroAgentExitCodeError", PATCH, "crashed", True),
        ("ApiRateLimitError", None, "model_unreachable", False),
        ("EnvironmentStartTimeoutError", None, "setup_failed", False),
        ("VerifierTimeoutError", PATCH, "submitted", True),
        ("VerifierTimeoutError", "", "empty_patch", True),
        ("SomethingNew", None, "setup_failed", False),
    ],
)
def test_how_a_trial_ended_comes_from_harbors_exception_and_the_patch(store, tmp_path, kind, patch, status, answered):
    trial(tmp_path / "job", "a", patch=patch, **fault(kind))
    import_job(tmp_path / "job", store)
    (row,) = store.rows(Attempt)
    assert (row.status, row.reason) == (status, f"{kind}: so it was")
    assert bool(store.rows(Prediction)) == answered == (row.prediction_id is not None)


def test_what_cannot_be_used_is_named_and_costs_nobody_else(store, tmp_path):
    job = tmp_path / "job"
    trial(job, "good")
    trial(job, "no-patch", patch=None)
    trial(job, "strange", number=9)
    trial(job, "nameless", agent="")
    trial(job, "steers", agent="a\x1b[2J")
    trial(job, "numbers", agent_result={"cost_usd": "much", "n_input_tokens": 2**70})
    trial(job, "atif", trajectory={"schema_version": "ATIF-v1.8", "steps": 3})
    (trial(job, "broken") / "result.json").write_text("{")
    (trial(job, "list") / "result.json").write_text("[1]")
    (job / "job.log").write_text("")
    done = import_job(job, store)
    assert len(done.prediction_ids) == 2
    found = {problem.partition(":")[0]: problem for problem in done.problems}
    assert set(found) == {"no-patch", "strange", "nameless", "steers", "numbers", "atif", "broken", "list"}
    assert "no patch: looked for verifier/model.patch" in found["no-patch"]
    assert "acme__logkit-PR-9 is none of the store's 2 instances" in found["strange"]
    assert all(problem.isprintable() for problem in done.problems)


def test_no_link_of_a_job_is_followed(store, tmp_path):
    (tmp_path / "secret").write_text("diff of somebody else\n")
    folder = trial(tmp_path / "job", "a", patch=None)
    (folder / "verifier" / "model.patch").symlink_to(tmp_path / "secret")
    (folder / "agent" / "trajectory.json").symlink_to(tmp_path / "secret")
    done = import_job(tmp_path / "job", store)
    assert (store.rows(Prediction), store.rows(Attempt)) == ([], [])
    assert "no patch" in done.problems[0]


def test_a_folder_without_trials_says_so(store, tmp_path):
    with pytest.raises(UserError, match=r"no folder in it has a result.json"):
        import_job(tmp_path, Store(tmp_path / "other"))
    assert Store(tmp_path / "other").rows(Instance) == []
