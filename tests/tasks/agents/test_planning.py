"""A plan says what would run; an attempt keeps its name for as long as it is the same attempt."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from configs.agent_files import AgentFile
from configs.agent_runs import AgentsConfig
from storage.store import Store
from storage.tables import Attempt
from tasks.agents.costs import begun
from tasks.agents.gateway.recording import folder_of
from tasks.agents.planning import PlanError, make_plan, must_fit, wanted
from tests.storage.test_exports import instance

MODEL = {"name": "m", "provider": "openai"}


def config(**changes) -> AgentsConfig:
    return AgentsConfig.model_validate({"agents": ["command"], "models": [MODEL], **changes})


def agent(name: str = "a", protocol: str = "openai", **changes) -> AgentFile:
    data = {"name": name, "install": {"kind": "none"}, "argv": ["true"], "protocol": protocol, **changes}
    return AgentFile.model_validate(data)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def attempted(planned, status: str, **more) -> Attempt:
    data = planned.model_dump()
    return Attempt(run_id="r", status=status, **data, **more)


def test_all_of_everything_first_samples_first(store):
    models = [MODEL, {"name": "n", "provider": {"protocol": "openai", "base_url": "http://h:1"}}]
    plan = make_plan(
        config(models=models, samples=2, budget={"usd": 0.5}),
        [agent("a"), agent("b")],
        [instance(1), instance(2)],
        store,
    )
    assert len(plan.attempts) == len({planned.attempt_id for planned in plan.attempts}) == 16
    assert [planned.sample for planned in plan.attempts] == [0] * 8 + [1] * 8
    assert plan.attempts[0].label == "a/m on acme__logkit-PR-1 #0"
    assert plan.most_usd == 8.0


def test_pairs_that_cannot_speak_are_left_out_with_the_reason(store):
    bedrock = {"name": "t", "provider": {"protocol": "anthropic", "translate": "bedrock"}}
    plan = make_plan(config(models=[MODEL, bedrock]), [agent(), agent("c", "anthropic")], [instance(1)], store)
    assert {(planned.agent, planned.model) for planned in plan.attempts} == {("a", "m"), ("a", "t"), ("c", "t")}
    assert len(plan.left_out) == 1
    assert plan.left_out[0].startswith("c/m: the agent speaks anthropic, the model's provider openai")


def test_attempts_with_an_answer_are_done_and_those_without_are_not(store):
    agents, rows = [agent()], [instance(1), instance(2)]
    plan = make_plan(config(samples=2, budget={"usd": 3}), agents, rows, store)
    statuses = ("submitted", "budget", "model_unreachable")
    store.append([attempted(planned, status) for planned, status in zip(plan.attempts, statuses, strict=False)])
    again = make_plan(config(samples=2, budget={"usd": 3}), agents, rows, store)
    assert again.done == [planned.attempt_id for planned in plan.attempts[:2]]
    assert (again.run_id, again.most_usd, again.open) == (plan.run_id, 6.0, plan.attempts[2:])
    assert (plan.tried, again.tried) == (0, 1)
    unbounded = make_plan(config(samples=2, budget={"usd": None}), agents, rows, store)
    assert unbounded.most_usd is None


def test_a_total_counts_what_was_spent_with_and_without_an_answer(store):
    agents, rows = [agent()], [instance(1), instance(2)]
    plan = make_plan(config(samples=2, budget={"usd": 3}, total_usd=8), agents, rows, store)
    assert plan.most_usd == 8.0
    first, second = plan.attempts[:2]
    store.append([attempted(first, "submitted", cost_usd=1.5, cost_before_usd=0.25)])
    paid = {"number": 1, "began": "2026-11-28T00:00:00Z", "seconds": 1, "path": "/", "status": 200, "ended": "whole",
            "usage": {"requests": 1, "cost_usd": 0.75}}  # fmt: skip
    written = folder_of(store) / "attempts" / f"{second.attempt_id}.jsonl"
    written.parent.mkdir(parents=True)
    written.write_text(f"{json.dumps(paid)}\n")
    assert make_plan(config(samples=2, budget={"usd": 3}, total_usd=8), agents, rows, store).most_usd == 5.5
    assert begun(store, [second.attempt_id])
    assert not begun(store, [first.attempt_id, plan.attempts[2].attempt_id])
    assert make_plan(config(samples=2, budget={"usd": 1}, total_usd=80), agents, rows, store).most_usd == 4.0
    with pytest.raises(ValidationError, match=r"total_usd needs budget\.usd"):
        config(budget={"usd": None}, total_usd=1)


def ids(agents=None, row=None, **changes) -> set[str]:
    plan = make_plan(config(**changes), agents or [agent()], [row or instance(1)], Store("memory://nothing"))
    return {planned.attempt_id for planned in plan.attempts}


def test_what_does_not_change_what_an_agent_gets_changes_no_name():
    same = [
        ids(store="./elsewhere"), ids(max_workers=9), ids(instances=["acme__logkit-PR-1"]),
        ids(row=instance(1, repo_url="/elsewhere", human_performance=9.0)),
    ]  # fmt: skip
    assert all(found == ids() for found in same)
    assert ids(models=[at("http://h:1", key="A")]) == ids(models=[at("http://h:1", key="B")])
    assert ids(models=[at("http://h:1", known_as="ours")]) == ids(models=[at("http://h:2", known_as="ours")])
    assert ids(models=[{**MODEL, "prices": {"input": 1, "output": 2}}], total_usd=9) == ids()


def at(url: str, **more) -> dict[str, object]:
    return {"name": "m", "provider": {"protocol": "openai", "base_url": url, **more}}


def test_what_changes_what_an_agent_gets_changes_the_name():
    other = [
        ids(budget={"usd": 9}), ids(attempt={"minutes": 5}), ids(extra_hosts=["docs.python.org"]),
        ids(sandbox={"kind": "docker"}),
        ids(models=[{**MODEL, "upstream": "m-2"}]), ids(row=instance(1, problem_statement="another")),
        ids([agent(argv=["false"])]), ids(attempt={"perf_tests": "all"}),
        ids(models=[at("https://elsewhere.example")]), ids(models=[at("http://127.0.0.1:1")]),
        ids(models=[at("http://127.0.0.1:2")]), ids(models=[at("http://127.0.0.1:2", known_as="ours")]),
    ]  # fmt: skip
    assert len({frozenset(found) for found in [*other, ids()]}) == len(other) + 1


def test_a_plan_that_no_longer_fits_is_refused(store):
    plan = make_plan(config(), [agent()], [instance(1)], store)
    must_fit(plan, make_plan(config(max_workers=7), [agent()], [instance(1)], store))
    with pytest.raises(PlanError, match="a/m on acme__logkit-PR-1 #0"):
        must_fit(plan, make_plan(config(), [agent(argv=["false"])], [instance(1)], store))
    with pytest.raises(PlanError, match="plan again"):
        must_fit(plan, make_plan(config(), [agent()], [instance(1), instance(2)], store))


def test_what_is_wanted_must_be_there(store, tmp_path):
    (tmp_path / "store").mkdir()
    with pytest.raises(PlanError, match="holds no instance"):
        wanted(config(store=store.root))
    store.append([instance(1)])
    agents, rows, _ = wanted(config(store=store.root))
    assert ([each.name for each in agents], [row.instance_id for row in rows]) == (["command"], ["acme__logkit-PR-1"])
    with pytest.raises(PlanError, match="has no instance nope"):
        wanted(config(store=store.root, instances=["nope"]))
    with pytest.raises(PlanError, match="two agents have the name 'command'"):
        wanted(config(store=store.root, agents=["command", "command"]))
