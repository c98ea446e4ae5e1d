"""Agents from a plan to predictions, interrupted and killed on the way: nothing lost, nothing paid twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from configs.agent_runs import load_agents_config
from configs.errors import UserError
from configs.models import EnvironmentConfig
from flows.agents import run_agents
from flows.commands.agents import read_plan, run_agents_report, run_plan, run_run
from storage.exchange.read import read_instances
from storage.files import get
from storage.store import Store
from storage.tables import Attempt, Prediction
from tasks.agents.gateway.recording import folder_of
from tasks.agents.making import must_have_keys, must_have_prices
from tasks.agents.planning import PlanError, make_plan, wanted
from tasks.agents.predictions import read_predictions
from tasks.agents.scripted import Script, ScriptedModel, Turn
from tests.flows.conftest import command, environment
from tests.tasks.agents.lab import FILES, instance_of
from tests.tasks.environments.conftest import History

ASKING = """
import json, sys, urllib.request
body = {"model": "main", "messages": [{"role": "user", "content": open(sys.argv[1]).read()}]}
request = urllib.request.Request(sys.argv[2] + "/v1/chat/completions", json.dumps(body).encode(),
                                 {"content-type": "application/json", "authorization": "Bearer none"})
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
"""
AGENT = {
    "name": "asks-once", "install": {"kind": "none"}, "protocol": "openai",
    "argv": ["sh", "-c", "python3 -c \"$0\" {prompt_file} {base_url} && echo 'quick = True' >> src/tinylib/core.py && "
             "sleep 2", ASKING],
}  # fmt: skip
ANSWER = Script(side=None, turns=(Turn(say="I append a line."),))


@pytest.fixture
def store(tmp_path) -> Store:
    history = History(tmp_path / "repository")
    base = history.commit(FILES)
    human = history.commit({"src/tinylib/core.py": "def unique(items):\n    return list(dict.fromkeys(items))\n"})
    store = Store(tmp_path / "store")
    bare = EnvironmentConfig(install_project=False, pin_to_date=False, import_paths=["src"]).model_dump_json()
    store.append([instance_of(history, base, human, environment=bare)])
    return store


@pytest.fixture
def model():
    with ScriptedModel([ANSWER]) as model:
        yield model


@pytest.fixture
def config(tmp_path, store, model) -> Path:
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(AGENT))
    provider = {"protocol": "openai", "base_url": model.url}
    data = {
        "store": store.root, "agents": ["./agent.yaml"], "samples": 3, "max_workers": 1, "budget": {"usd": 0.5},
        "models": [{"name": "main", "provider": provider, "prices": {"input": 1000, "output": 2000}}],
        "attempt": {"minutes": 1, "memory_mb": 1024},
    }  # fmt: skip
    (tmp_path / "agents.yaml").write_text(yaml.safe_dump(data))
    return tmp_path / "agents.yaml"


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_from_a_plan_to_predictions_interrupted_and_killed(isobench, server, store, model, config, tmp_path, capsys):
    plan = tmp_path / "plan.json"
    assert run_plan(config, plan, None, []) == 0
    assert "3 attempts to make: at most 1.50 USD" in capsys.readouterr().out
    assert (model.requests_seen, Store(store.root).rows(Attempt)) == ([], []), "planning sends nothing"

    # Ctrl-C while the second attempt is under way
    run = start("--from-plan", plan, server=server)
    wait_until(lambda: len(model.requests_seen) == 2)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "the same command goes on from there" in said
    assert [row.sample for row in store.rows(Attempt)] == [0]

    # killed while the third is
    run = start("--from-plan", plan, "--resume", server=server)
    (third,) = [planned.attempt_id for planned in make_plan(*plan_of(config), store).open if planned.sample == 2]
    written = folder_of(store) / "attempts" / f"{third}.jsonl"
    wait_until(lambda: len(model.requests_seen) == 4 and written.is_file() and written.stat().st_size > 0)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate(timeout=60)
    assert [row.sample for row in store.rows(Attempt)] == [0, 1]

    done = isobench("agents", "run", config, "--resume")
    assert done.returncode == 0, done.stderr
    assert "3 attempts: 1 made now, 2 were there. 3 submitted" in done.stdout
    assert len(model.requests_seen) == 5, "only what was under way was asked again"
    assert make_plan(*plan_of(config), store).open == []
    holds_what_was_done(store, model)
    assert run_agents_report(store.root, None) == 0
    said = capsys.readouterr().out
    assert "asks-once/main" in said
    assert "3 submitted" in said


def start(*arguments: str | Path, server: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("agents", "run", *arguments), env=environment() | server, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def holds_what_was_done(store: Store, model: ScriptedModel) -> None:
    rows = sorted(store.rows(Attempt), key=lambda row: row.sample)
    assert [(row.sample, row.status, row.requests) for row in rows] == [(n, "submitted", 1) for n in range(3)]
    billed = model.requests_seen[0].billed
    assert {(row.tokens_in, row.tokens_out) for row in rows} == {(billed.input, billed.output)}
    cost = (billed.input * 1000 + billed.output * 2000) / 1e6
    assert [row.cost_usd for row in rows] == [pytest.approx(cost)] * 3
    assert [row.cost_before_usd for row in rows] == [0, pytest.approx(cost), pytest.approx(cost)], "interrupted, killed"
    assert {(row.prompt_leak_rate, row.tool_leak_rate) for row in rows} == {(0.0, 0.0)}
    assert b"I append a line." in get(store, rows[0].log)
    predictions = store.rows(Prediction)
    assert {row.attempt_id for row in predictions} == {row.attempt_id for row in rows}
    assert all(row.model_patch.rstrip().endswith("+quick = True") for row in predictions)
    # the file for `isobench evaluate` and others' harnesses tells the same attempts
    (file,) = (Path(store.root) / "agents").glob("agents-*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["model_name_or_path"] for line in lines] == ["main"] * 3
    loaded = read_predictions([file], [row.instance_id for row in read_instances(store.root)[0]], store)
    assert sorted(loaded.prediction_ids) == sorted(row.prediction_id for row in predictions)


def plan_of(config: Path):
    loaded = load_agents_config(config)
    return loaded, *wanted(loaded)[:2]


def test_what_a_user_gets_wrong_is_said_before_anything_runs(config, tmp_path, model):
    with pytest.raises(PlanError, match="nothing to resume"):
        run_agents.fn(config, resume=True)
    unset = "models=[{name: main, provider: {protocol: openai, base_url: 'http://h', key: NO_SUCH_KEY}}]"
    keyless = load_agents_config(config, [unset])
    with pytest.raises(UserError, match="NO_SUCH_KEY is not set, which model main needs"):
        must_have_keys(keyless)
    with pytest.raises(UserError, match="NO_SUCH_KEY is not set"):
        run_agents.fn(keyless)
    with pytest.raises(UserError, match="main has no known price, so a budget in dollars cannot be kept"):
        must_have_prices(keyless)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UserError, match="is no plan of `isobench agents plan`"):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(UserError, match="either CONFIG or --from-plan"):
        run_run(None, None, False, None, None, [], False)
    assert model.requests_seen == []
