"""Door of agents."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.agent_files import AgentFile
from configs.agent_runs import AgentModelConfig, AgentsConfig
from configs.models import SandboxConfig
from storage.store import Store
from storage.tables import Instance
from tasks.agents.making import Ready, get_ready, make_attempt
from tasks.agents.planning import Planned
from tasks.agents.predictions import Loaded, file_digest, read_predictions
from tasks.agents.purse import Purse
from tasks.agents.recording import Attempted
from tasks.caching import cache_key
from tasks.decorators import stage_task
from tasks.sandbox.models import Arm


def _key(_: Any, parameters: dict[str, Any]) -> str:
    known = parameters["instance_ids"]
    return cache_key(
        "agents",
        "load_predictions",
        [file_digest(path) for path in parameters["files"]],
        None if known is None else sorted(known),
    )


@stage_task(_key, name="load predictions", run_name="load predictions", tags=["agents"])
def load_predictions(files: list[str], instance_ids: list[str] | None, store: str) -> Loaded:
    """Read prediction files (.jsonl, .json, .parquet) and append their rows to `predictions`.

    `instance_ids` are those of the dataset; predictions for others are counted and left out. None takes all. Lines that
    cannot be used are listed with file, line and reason. Cached by the files' content.
    """
    return read_predictions(files, instance_ids, Store(store, run="agents"))


@task(name="install agent", task_run_name="{agent.name}", tags=["agents"], cache_policy=NO_CACHE)
def install_agent(agent: AgentFile, sandbox: SandboxConfig, store: str) -> Ready:
    """Install an agent below the store's work folder, unless it is there. Attempts with one that cannot be installed
    are `setup_failed` with the reason."""
    return get_ready(agent, sandbox, Store(store, run="agents"))


@task(name="attempt", task_run_name="{label}", tags=["agents"], cache_policy=NO_CACHE)
def run_attempt(
    label: str,
    planned: Planned,
    agent: Ready,
    model: AgentModelConfig,
    config: AgentsConfig,
    instance: Instance,
    arm: Arm,
    run_id: str,
    purse: Purse,
    store: str,
) -> Attempted:
    """Let an agent try an instance, and append to `attempts` and `predictions` what came of it.

    `label` names the task run. Never cached or retried, since it costs money: the flow looks into `attempts` for what
    was made before.
    """
    return make_attempt(planned, agent, model, config, instance, arm, run_id, Store(store, run="agents"), purse)
