"""Several runs on one store never pay for one attempt twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from configs.agent_files import AgentFile
from configs.agent_runs import AgentModelConfig, AgentsConfig
from storage.files import get
from storage.store import Store
from storage.tables import Attempt, Prediction
from tasks.agents.costs import cost_before
from tasks.agents.gateway.prices import with_prices
from tasks.agents.gateway.recording import folder_of
from tasks.agents.making import allowed, get_ready, make_attempt
from tasks.agents.planning import make_plan
from tasks.agents.purse import Purse, TotalSpent
from tasks.agents.recording import Attempted
from tasks.agents.scripted import Script, ScriptedModel, Turn
from tasks.agents.scripted.script import Usage
from tests.tasks.agents.lab import Lab, make_lab, nobody, shell

NINE = {"input": 9, "output": 9}
ASK = (
    'python3 -c \'import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1] + "/v1/chat/completions", '
    'b"{\\"model\\":\\"main\\",\\"messages\\":[]}", {"content-type": "application/json"})).read()\' {base_url} '
    "&& echo quick >> tools.sh"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("lab"), "local")


@pytest.fixture
def store(tmp_path, lab) -> Store:
    """With what the lab has made already."""
    store = Store(tmp_path / "store")
    clone = store.work / "clones" / "someone__tinylib.git"
    clone.parent.mkdir(parents=True)
    clone.symlink_to(lab.history.source / ".git")
    for part in ("checkouts", "environments"):
        if (lab.history.work / part).exists():
            (store.work / part).symlink_to(lab.history.work / part)
    return store


def config_of(store: Store, url: str, **more: object) -> AgentsConfig:
    provider = {"protocol": "openai", "base_url": url}
    return AgentsConfig.model_validate(
        {
            "agents": ["script"], "store": store.root, "attempt": {"minutes": 1, "memory_mb": 1024},
            "models": [{"name": "main", "provider": provider, "prices": {"input": 1, "output": 1}}], **more,
        }
    )  # fmt: skip


def make(
    lab: Lab, config: AgentsConfig, agent: AgentFile, run_id: str = "r", sample: int = 0, purse: Purse | None = None
) -> Attempted:
    """One attempt with a handle of its own on the store, as another process has it."""
    store = Store(config.store)
    planned = make_plan(config, [agent], [lab.instance], store).attempts[sample]
    ready = get_ready(agent, config.sandbox, store)
    return make_attempt(planned, ready, config.models[0], config, lab.instance, lab.arm, run_id, store, purse)


def test_two_runs_that_want_the_same_attempt_make_it_once(lab, store):
    with ScriptedModel([Script(side=None, turns=(Turn(say="yes"),))]) as model:
        config = config_of(store, model.url)
        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(lambda run_id: make(lab, config, shell(ASK), run_id), ["one", "two"])
        assert len(model.requests_seen) == 1
    assert first == second
    assert first.status == "submitted", first.reason
    (row,), (prediction,) = store.rows(Attempt), store.rows(Prediction)
    assert (row.requests, row.prediction_id, row.cost_before_usd) == (1, prediction.prediction_id, 0)
    assert prediction.model_patch.endswith("+quick\n")


def test_what_was_changed_before_the_model_was_gone_is_kept_and_counts_for_nothing(lab, store):
    made = make(lab, config_of(store, nobody()), shell(f"echo quick >> tools.sh; {ASK}"))
    assert made.status == "model_unreachable", made.reason
    (row,) = store.rows(Attempt)
    assert get(store, row.unanswered_patch).endswith(b"+quick\n")
    assert store.rows(Prediction) == []


def test_what_cannot_be_installed_fails_the_attempt_and_not_for_ever(lab, store):
    agent = AgentFile.model_validate(
        {
            "name": "script", "argv": ["sh", "-c", "echo quick >> tools.sh"], "protocol": "openai",
            "install": {"kind": "pypi", "package": "x", "version": "1", "python": "3.99"},
        }
    )  # fmt: skip
    config = config_of(store, nobody())
    made = make(lab, config, agent)
    assert (made.status, "3.99" in made.reason) == ("setup_failed", True)
    plan = make_plan(config, [agent], [lab.instance], store)
    assert (plan.tried, len(plan.open)) == (1, 1)


def test_no_attempt_begins_that_could_cost_more_than_is_left(lab, store):
    bill = Usage(input=400_000, output=100_000)  # 0.50 USD at a dollar per million
    with ScriptedModel([Script(side=None, turns=(Turn(say="yes", usage=bill),))]) as model:
        config = config_of(store, model.url, budget={"usd": 0.75}, samples=4)
        purse = Purse(total_usd=1.5)
        with ThreadPoolExecutor(4) as threads:
            made = list(threads.map(lambda sample: outcome(lab, config, sample, purse), range(4)))
        assert len(model.requests_seen) == 2
    assert sorted(made)[:2] == ["submitted"] * 2
    assert {said.partition(": ")[0] for said in sorted(made)[2:]} == {
        "total_usd is 1.5, of which 1.0000 is spent, and the attempt may cost 0.75 (budget.usd)"
    }
    assert len(store.rows(Attempt)) == 2


def outcome(lab: Lab, config: AgentsConfig, sample: int, purse: Purse) -> str:
    try:
        return make(lab, config, shell(ASK), sample=sample, purse=purse).status
    except TotalSpent as error:
        return str(error)


@pytest.mark.parametrize(
    ("more", "dollars"),
    [
        ({"name": "gpt-5", "small": "gpt-5-mini"}, 0.25),
        ({"name": "gpt-5", "small": "gpt-5-mini", "prices": NINE}, 0.25),
        ({"name": "ours", "small": "ours-small", "prices": NINE}, 9),
        ({"name": "ours", "small": "x", "prices": NINE, "small_prices": {"input": 1, "output": 1}}, 1),
    ],
)
def test_the_small_model_has_its_own_prices(more, dollars):
    small = allowed(AgentModelConfig.model_validate({"provider": "openai", **more}))[1]
    assert with_prices(small).prices.input == pytest.approx(dollars / 1e6)


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
