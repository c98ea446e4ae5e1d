"""What would run: every attempt with the name by which it is known again, and the most that all can cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from configs.agent_files import AgentFile, load_agent
from configs.agent_runs import AgentModelConfig, AgentsConfig
from configs.errors import UserError
from storage.exchange.export import complete_instances
from storage.exchange.read import read_instances
from storage.ids import content_hash
from storage.records import is_file
from storage.store import Store
from storage.tables import NO_ANSWER, Attempt, Instance
from tasks.agents.costs import spent

VERSION = 1


class PlanError(UserError):
    """What is planned cannot run as planned: the message says why."""


class Planned(BaseModel):
    """One attempt to make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt_id: str
    instance_id: str
    agent: str
    model: str
    sample: int

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.agent}/{self.model} on {self.instance_id} #{self.sample}"


class Plan(BaseModel):
    """What a configuration comes to; `isobench agents run --from-plan` makes exactly these attempts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    run_id: str
    config: AgentsConfig
    attempts: list[Planned]
    """In the order in which they start: first samples of everything before second ones."""
    left_out: list[str] = []
    """Pairs of agent and model that cannot run together, with the reason."""
    done: list[str] = []
    """Ids of attempts that the store has already; they are not made again."""
    most_usd: float | None = None
    """What those not done can cost at most, by the budget of each and by what is left of the total. None: nothing
    bounds it."""
    tried: int = 0
    """How many of those not done the store has a row of: they ended without an answer."""

    @property
    def open(self) -> list[Planned]:
        """Attempts that are not made yet."""
        done = set(self.done)
        return [planned for planned in self.attempts if planned.attempt_id not in done]


def wanted(config: AgentsConfig) -> tuple[list[AgentFile], list[Instance], list[str]]:
    """(agents, instances, what is wrong with the dataset). Raises ConfigError, DatasetError, PlanError."""
    agents = [load_agent(name) for name in config.agents]
    names = [agent.name for agent in agents]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PlanError(f"two agents have the name {twice[0]!r}: results could not be told apart")
    source = config.dataset or config.store
    found, problems = read_instances(source)
    if not is_file(source):  # statements are in a table of their own
        told = {row.instance_id: row for row in complete_instances(Store(source))}
        found = [told.get(row.instance_id, row) for row in found]
    by_id = {row.instance_id: row for row in found}
    if unknown := sorted(set(config.instances) - set(by_id)):
        raise PlanError(f"{source} has no instance {unknown[0]}; `isobench show instances` lists them")
    chosen = [by_id[key] for key in config.instances] if config.instances else list(by_id.values())
    if not chosen:
        raise PlanError(f"{source} holds no instance that can be used: `isobench build CONFIG` makes them")
    return agents, chosen, problems


def make_plan(config: AgentsConfig, agents: Sequence[AgentFile], instances: Sequence[Instance], store: Store) -> Plan:
    """All attempts of a configuration, those that the store has included. `instances` are those that are meant."""
    pairs, left_out = _pairs(config, agents)
    attempts = [
        Planned(
            attempt_id=attempt_id(config, agent, model, row, sample), instance_id=row.instance_id, agent=agent.name,
            model=model.name, sample=sample,
        )
        for sample in range(config.samples)
        for row in instances
        for agent, model in pairs
    ]  # fmt: skip
    rows = {row.attempt_id: row for row in store.rows(Attempt, attempt_id=[each.attempt_id for each in attempts])}
    done = {key for key, row in rows.items() if row.status not in NO_ANSWER}
    left = len(attempts) - len(done)
    most = None if config.budget.usd is None else left * config.budget.usd
    if most is not None and config.total_usd is not None:
        most = min(
            most, max(0.0, config.total_usd - spent(store, rows.values(), [each.attempt_id for each in attempts]))
        )
    run_id = f"agents-{content_hash(sorted(planned.attempt_id for planned in attempts), length=8)}"
    return Plan(
        run_id=run_id, config=config, attempts=attempts, left_out=left_out,
        done=[planned.attempt_id for planned in attempts if planned.attempt_id in done],
        most_usd=0.0 if not left else most, tried=len(rows) - len(done),
    )  # fmt: skip


def must_fit(plan: Plan, made: Plan) -> None:
    """Raises PlanError unless a plan's attempts are what its configuration comes to now."""
    now = {planned.attempt_id for planned in made.attempts}
    gone = [planned for planned in plan.attempts if planned.attempt_id not in now]
    if gone or len(now) != len(plan.attempts):
        what = f", such as {gone[0].label}" if gone else ""
        raise PlanError(
            f"the plan is out of date: {len(gone)} of its {len(plan.attempts)} attempts are no longer what would run"
            f"{what}. An agent's file, an instance or a setting changed since: plan again"
        )


def answered(store: Store, attempt_ids: Collection[str]) -> Mapping[str, Attempt]:
    """Those attempts that the store has and that ended with an answer: they are never paid for again."""
    rows = store.rows(Attempt, attempt_id=list(attempt_ids))
    return {row.attempt_id: row for row in rows if row.status not in NO_ANSWER}


def attempt_id(config: AgentsConfig, agent: AgentFile, model: AgentModelConfig, row: Instance, sample: int) -> str:
    """Name of an attempt, of all that decides what the agent gets: no path, no time, no price. Nor a key's name: who
    pays with another one asks the same model."""
    shown = row.efficiency_test if config.attempt.perf_tests != "none" else []
    task = (row.instance_id, row.base_commit, row.problem_statement, row.api, row.environment, shown)
    said = model.provider
    place = said.known_as or said.base_url.rstrip("/")
    asked = (model.name, model.asked_upstream, model.small, said.protocol, said.translate, place)
    limits = (config.attempt, config.budget, sorted(config.extra_hosts), config.sandbox.kind)
    return content_hash("attempt", *task, agent, *asked, *limits, sample)


def _pairs(
    config: AgentsConfig, agents: Sequence[AgentFile]
) -> tuple[list[tuple[AgentFile, AgentModelConfig]], list[str]]:
    pairs, left_out = [], []
    for agent in agents:
        for model in config.models:
            provider = model.provider
            if provider.protocol == agent.protocol or provider.translate:
                pairs.append((agent, model))
            else:
                left_out.append(
                    f"{agent.name}/{model.name}: the agent speaks {agent.protocol}, the model's provider "
                    f"{provider.protocol}; `translate` in its provider would change that"
                )
    return pairs, left_out
