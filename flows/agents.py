"""Run coding agents: instances x agents x models x samples, each attempt once, side by side."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from prefect import flow

from configs.agent_files import AgentFile
from configs.agent_runs import AgentsConfig, load_agents_config
from configs.models import RepositoryConfig
from flows.engine.run import Run
from flows.engine.task_runner import task_runner
from flows.parameters import AgentsSource
from flows.stages.checkouts import ArmWanted, check_out_arms, cloned, instance_environments
from flows.summaries import AgentsSummary
from flows.trust import environment_of, must_be_trusted, needs_trust
from storage.exchange.predictions import write_predictions
from storage.store import Store
from storage.tables import NO_ANSWER, Attempt, Instance, Prediction
from tasks.agents.costs import begun, spent
from tasks.agents.making import Ready, must_have_keys, must_have_prices
from tasks.agents.planning import Plan, PlanError, Planned, answered, make_plan, must_fit, wanted
from tasks.agents.purse import Purse
from tasks.agents.recording import Attempted
from tasks.agents.stage import install_agent, run_attempt
from tasks.sandbox.models import Arm

STAGE = "attempts"


@flow(name="run-agents", validate_parameters=False)
def run_agents(
    config: AgentsSource, plan: Plan | None = None, resume: bool = False, run_id: str | None = None
) -> AgentsSummary:
    """Make every attempt of a configuration, or of a plan, that the store does not have; report what they came to.

    `config` may be the path of a YAML file.

    An attempt that ended with an answer is in the store and never made, or paid for, again; one that was under way when
    its run was killed, or ended through no fault of agent or model, is. `resume`: start nothing unless the store has
    some of them, so that a wrong store or a changed setting does not pay for all again. Predictions also go to
    `<store>/agents/<run id>.jsonl`.

    Raises PlanError for a plan that no longer fits or nothing to resume, ConfigError for an agent's file, NotTrusted
    for a dataset that asks for what no sandbox holds. An attempt that fails is recorded and does not stop the others.
    """
    if not isinstance(config, AgentsConfig):
        config = load_agents_config(config)
    must_have_keys(config)
    must_have_prices(config)
    agents, instances, problems = wanted(config)
    made = make_plan(config, agents, instances, Store(config.store))
    if plan is not None:
        must_fit(plan, made)
    known = made.done or made.tried or begun(Store(config.store), (each.attempt_id for each in made.attempts))
    if resume and not known:
        raise PlanError(
            f"nothing to resume: {config.store} has none of these {len(made.attempts)} attempts. Without --resume they "
            "are made, and paid for; `isobench agents plan` says what differs"
        )
    runner = task_runner(config.max_workers)
    return _attempt_all.with_options(task_runner=runner)(made, agents, instances, problems, run_id or made.run_id)


@flow(name="attempts", validate_parameters=False, persist_result=False)
def _attempt_all(
    plan: Plan, agents: Sequence[AgentFile], instances: Sequence[Instance], problems: Sequence[str], run_id: str
) -> AgentsSummary:
    config = plan.config
    run = Run(Store(config.store, run="agents"), run_id)
    source = config.dataset or config.store
    if not config.sandbox.trust and (asked := needs_trust(instances, source, config.sandbox, run.store)):
        raise must_be_trusted(source, asked)
    try:
        done = _attempts(run, plan, agents, instances)
        return _summary(run, plan, done, problems)
    finally:
        run.close()


def _attempts(run: Run, plan: Plan, agents: Sequence[AgentFile], instances: Sequence[Instance]) -> dict[str, Attempted]:
    """Attempt id -> how it ended, of those that were made now."""
    by_instance: dict[str, list[Planned]] = defaultdict(list)
    for planned in plan.open:
        by_instance[planned.instance_id].append(planned)
    rows = {row.instance_id: row for row in instances if row.instance_id in by_instance}
    arms = _arms(run, list(rows.values()), plan.config)
    ready = _ready(run, [agent for agent in agents if agent.name in {each.agent for each in plan.open}], plan.config)
    models = {model.name: model for model in plan.config.models}
    going = [planned for planned in plan.open if planned.instance_id in arms and planned.agent in ready]
    ids = [planned.attempt_id for planned in plan.attempts]
    purse = Purse(plan.config.total_usd, spent(run.store, run.store.rows(Attempt, attempt_id=ids), ids))
    made = run.map(
        STAGE,
        run_attempt,
        {
            planned.label: {
                "label": planned.label, "planned": planned, "agent": ready[planned.agent],
                "model": models[planned.model], "config": plan.config, "instance": rows[planned.instance_id],
                "arm": arms[planned.instance_id], "run_id": run.run_id, "purse": purse,
            }
            for planned in going
        },
        tags={planned.label: [f"provider:{_host(models[planned.model].provider.base_url)}"] for planned in going},
    )  # fmt: skip
    for label, ended in made.items():
        run.note(STAGE, label, _outcome(ended), f"{ended.status}: {ended.reason}" if ended.reason else ended.status)
    return {ended.attempt_id: ended for ended in made.values()}


def _ready(run: Run, agents: Sequence[AgentFile], config: AgentsConfig) -> dict[str, Ready]:
    """Agent -> installed, or why it is not. Once for all attempts: a registry that cannot be reached takes minutes."""
    found = run.map(
        "agents", install_agent, {agent.name: {"agent": agent, "sandbox": config.sandbox} for agent in agents}
    )
    for name, agent in found.items():
        if agent.reason:
            run.note("agents", name, "failed", agent.reason)
    return found


def _outcome(ended: Attempted) -> Literal["kept", "dropped", "failed"]:
    if ended.status in NO_ANSWER:
        return "failed"
    return "kept" if ended.status == "submitted" else "dropped"


def _arms(run: Run, instances: list[Instance], config: AgentsConfig) -> dict[str, Arm]:
    """Instance -> base, checked out in its environment. Those that cannot be had are noted as failed."""
    repositories = {row.instance_id: RepositoryConfig(name=row.repo, url=row.repo_url) for row in instances}
    rows = cloned(run, instances, repositories, anonymous=not config.sandbox.trust)
    settings = {row.instance_id: environment_of(row) for row in rows}
    environments = instance_environments(run, rows, repositories, settings, config.sandbox)
    wanted = [
        ArmWanted(
            row.instance_id, "base", repositories[row.instance_id], settings[row.instance_id],
            environments[row.instance_id], row.base_commit,
        )
        for row in rows
        if row.instance_id in environments
    ]  # fmt: skip
    found, failed = check_out_arms(run, config.sandbox, wanted)
    for (instance_id, name), reason in failed.items():
        run.note("environments", instance_id, "failed", f"{name}: {reason}")
    return {key: arms["base"] for key, arms in found.items()}


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0] or "other"


def _summary(run: Run, plan: Plan, done: dict[str, Attempted], problems: Sequence[str]) -> AgentsSummary:
    ids = {planned.attempt_id for planned in plan.attempts}
    rows = answered(run.store, ids)
    without = [ended.status for ended in done.values() if ended.status in NO_ANSWER]
    wanted = [row.prediction_id for row in rows.values() if row.prediction_id]
    file = ""
    if run.store.is_local and wanted:
        file = str(Path(run.store.root) / "agents" / f"{run.run_id}.jsonl")
        write_predictions(run.store.rows(Prediction, prediction_id=wanted), file)
    missing = len(ids) - len(rows)
    run.publish_report()
    return AgentsSummary(
        run_id=run.run_id, store=run.store.root, executed=run.executed, cached=run.cached, failures=run.failures(),
        attempts=len(ids), attempt_ids=sorted(ids), made=len(done), before=len(plan.done),
        statuses=dict(Counter([*(row.status for row in rows.values()), *without])),
        cost_usd=sum(row.cost_usd or 0.0 for row in rows.values()),
        cost_now_usd=sum(ended.cost_usd or 0.0 for ended in done.values()),
        cost_lost_usd=sum(row.cost_before_usd for row in rows.values()),
        predictions=file, problems=[*problems, *plan.left_out],
        missing=[*run.missing, *([f"{missing} of {len(ids)} attempts have no answer yet"] if missing else [])],
    )  # fmt: skip
