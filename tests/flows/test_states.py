"""A run's state says what came of its items, on a server that sees every stage as a flow run; and what Retry does.

The stages are of our own kind, with a door of the test's: a fault of the world is a file that is not there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from configs.variables import TEMPORARY_SERVER
from tests.flows.conftest import environment

SCRIPT = r"""
import asyncio, os, sys
from pathlib import Path

from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.engine.ending import state_of
from flows.engine.flows import recipe
from flows.stages.of_dataset import dataset_run, dataset_stage
from flows.summaries import Summary
from storage.store import Store
from storage.tables import Funnel
from tasks.decorators import stage_task
from tasks.environments.models import Built

root = Path(sys.argv[1])
config = "repository: {name: a/b, url: 'https://example.org/a/b'}\nstore: " + str(root / "store")


@stage_task(lambda context, given: f"environments.tiny-{given['item']}", name="tiny", run_name="tiny {item}")
def tiny(item: str, store: str) -> Built:
    if item == "second" and not (root / "disk").exists():
        raise OSError("no space left")
    return Built(environment=None, reason="done")


@dataset_stage("apis")
def find(run, config):
    "Finds."
    for key in run.map("apis", tiny, {key: {"item": key} for key in ("first", "second")}):
        run.note("apis", key, "kept", made=[key])


@dataset_stage("perftests")
def use(run, config):
    "Uses what the first stage found."
    found = [key for key, row in run.funnel.stage("apis").items() if row.outcome == "kept"]
    for key in run.map("perftests", tiny, {key: {"item": key} for key in found}):
        run.note("perftests", key, "dropped", "judged")


@recipe("whole", lambda: "whole")
def whole(config: str):
    with dataset_run(config, None) as (run, loaded):
        for stage in (find, use):
            stage(config=loaded, store=run.store.root, run_id=run.run_id)
        return state_of(Summary(run_id=run.run_id, store=run.store.root, executed=run.executed, cached=run.cached,
                                failures=run.failures(), known=run.funnel.known()))


def children(client, parent):
    wanted = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent]))
    found = sorted(client.read_flow_runs(flow_run_filter=wanted), key=lambda one: one.created)
    return [(one.name, one.state.name, sorted(one.tags)) for one in found]


with get_client(sync_client=True) as client:
    flow_id = client.create_flow(whole)
    deployment = client.create_deployment(flow_id=flow_id, name="here")
    flow_run = client.create_flow_run_from_deployment(deployment, parameters={"config": config})

    state = run_flow(whole, flow_run=flow_run, parameters={"config": config}, return_type="state")
    assert (state.type.value, state.name) == ("FAILED", "Failed"), state
    assert state.message == "1 item met a fault: apis second: OSError: no space left", state.message
    stages = children(client, flow_run.id)
    failed, done = ("apis a/b", "Failed", ["a/b", "apis"]), ("perftests a/b", "Completed", ["a/b", "perftests"])
    assert stages == [failed, done], stages
    assert whole(config).exit_code == 1, "called from Python, a failed flow hands its summary back"

    (root / "disk").touch()
    client.set_flow_run_state(flow_run.id, AwaitingRetry(), force=True)
    again = client.read_flow_run(flow_run.id)
    state = run_flow(whole, flow_run=again, parameters={"config": config}, return_type="state")
    assert state.is_completed(), state
    assert client.read_flow_run(flow_run.id).run_count == 2
    # both were entered again: the second has the item that the first had lost
    assert [name for name, *_ in children(client, flow_run.id)] == ["apis a/b", "perftests a/b"] * 2
    summary = state.result()
    assert (summary.executed, summary.cached) == (1, 3), summary
    rows = {(row.stage, row.key): row for row in Store(str(root / "store")).rows(Funnel)}
    assert rows["perftests", "second"].outcome == "dropped" and rows["apis", "second"].times == 1

    state = whole(config, return_state=True)
    assert state.message == "Nothing new: 4 results of earlier runs hold", state.message
    alone = find(config)
    assert (alone.stage, alone.cached, alone.exit_code) == ("apis", 2, 0), alone
    assert find(config, retry=["second"]).executed == 1, "an item by name"
    assert find(config, retry=["apis"]).executed == 2, "a stage by name"

    (root / "disk").unlink()
    names = [find(config, retry=["second"], return_state=True).name for _ in range(5)]
    assert names == ["Failed"] * 3 + ["KnownFaults"] * 2, names
print("held")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_states_retries_and_stages_alone(tmp_path: Path, server: dict[str, str]) -> None:
    variables = environment() | server | {"PREFECT_LOGGING_LEVEL": "CRITICAL"}
    del variables[TEMPORARY_SERVER]  # a user's server: every stage is a flow run
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=Path(__file__).parents[2], env=variables,
        capture_output=True, text=True, timeout=560, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["held"], done.stdout[-1000:] + done.stderr[-4000:]
