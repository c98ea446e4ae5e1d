"""Several runs on one store never pay for one attempt twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from configs.agent_runs import AgentsConfig
from storage.store import Store
from storage.tables import Attempt, Prediction
from tasks.agents.gateway.recording import folder_of
from tasks.agents.making import cost_before, make_attempt
from tasks.agents.planning import make_plan
from tasks.agents.scripted import Script, ScriptedModel, Turn
from tests.tasks.agents.lab import make_lab, shell

ASK = (
    'python3 -c \'import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1] + "/v1/chat/completions", '
    'b"{\\"model\\":\\"main\\",\\"messages\\":[]}", {"content-type": "application/json"})).read()\' {base_url} '
    "&& echo quick >> tools.sh"
)


def test_two_runs_that_want_the_same_attempt_make_it_once(tmp_path):
    lab = make_lab(tmp_path / "lab", "local")
    store = Store(tmp_path / "store")
    clone = store.work / "clones" / "someone__tinylib.git"
    clone.parent.mkdir(parents=True)
    clone.symlink_to(lab.history.source / ".git")
    for part in ("checkouts", "environments"):
        if (lab.history.work / part).exists():
            (store.work / part).symlink_to(lab.history.work / part)
    with ScriptedModel([Script(side=None, turns=(Turn(say="yes"),))]) as model:
        provider = {"protocol": "openai", "base_url": model.url}
        config = AgentsConfig.model_validate(
            {
                "agents": ["script"], "store": store.root, "attempt": {"minutes": 1, "memory_mb": 1024},
                "models": [{"name": "main", "provider": provider, "prices": {"input": 1, "output": 1}}],
            }
        )  # fmt: skip
        agent = shell(ASK)
        (planned,) = make_plan(config, [agent], [lab.instance], store).attempts

        def make(run_id: str):
            return make_attempt(
                planned, agent, config.models[0], config, lab.instance, lab.arm, run_id, Store(store.root)
            )

        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(make, ["one", "two"])
        assert len(model.requests_seen) == 1
    assert first == second
    assert first.status == "submitted", first.reason
    (row,), (prediction,) = store.rows(Attempt), store.rows(Prediction)
    assert (row.requests, row.prediction_id, row.cost_before_usd) == (1, prediction.prediction_id, 0)
    assert prediction.model_patch.endswith("+quick\n")


def test_what_earlier_times_cost_is_read_whatever_else_lies_there(tmp_path):
    store = Store(tmp_path / "store")
    before = folder_of(store) / "attempts" / "a.jsonl.before"
    before.mkdir(parents=True)
    line = {"number": 1, "began": "2026-11-28T00:00:00Z", "seconds": 1, "path": "/", "status": 200, "ended": "whole"}
    paid = json.dumps({**line, "usage": {"requests": 1, "cost_usd": 0.25}})
    (before / "1.jsonl").write_text(f"{paid}\n{paid[:40]}\n\n")
    (before / "2.jsonl").write_text(f"{paid}\n")
    assert cost_before(folder_of(store), "a") == pytest.approx(0.5)
    assert cost_before(folder_of(store), "b") == 0
