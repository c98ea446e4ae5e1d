"""What would run: every attempt with the name by which it is known again, and the most that all can cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from configs.agent_files import AgentFile
from configs.agent_runs import AgentModelConfig, AgentsConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import NO_ANSWER, Attempt, Instance

VERSION = 1


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
    """What those not done can cost at most by the budget in dollars. None: nothing bounds it."""

    @property
    def open(self) -> list[Planned]:
        """Attempts that are not made yet."""
        done = set(self.done)
        return [planned for planned in self.attempts if planned.attempt_id not in done]


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
    done = answered(store, {planned.attempt_id for planned in attempts})
    left = len(attempts) - len(done)
    most = None if config.budget.usd is None else left * config.budget.usd
    run_id = f"agents-{content_hash(sorted(planned.attempt_id for planned in attempts), length=8)}"
    return Plan(
        run_id=run_id, config=config, attempts=attempts, left_out=left_out,
        done=[planned.attempt_id for planned in attempts if planned.attempt_id in done],
        most_usd=0.0 if not left else most,
    )  # fmt: skip


def answered(store: Store, attempt_ids: Collection[str]) -> Mapping[str, Attempt]:
    """Those attempts that the store has and that ended with an answer: they are never paid for again."""
    rows = store.rows(Attempt, attempt_id=list(attempt_ids))
    return {row.attempt_id: row for row in rows if row.status not in NO_ANSWER}


def attempt_id(config: AgentsConfig, agent: AgentFile, model: AgentModelConfig, row: Instance, sample: int) -> str:
    """Name of an attempt, of all that decides what the agent gets: no path, no key, no time."""
    shown = row.efficiency_test if config.attempt.perf_tests != "none" else []
    task = (row.instance_id, row.base_commit, row.problem_statement, row.api, row.environment, shown)
    provider = model.answered_by.model_dump(mode="json", exclude={"key"})
    asked = (model.name, model.asked_upstream, model.small, provider)
    limits = (config.attempt, config.budget, sorted(config.extra_hosts), config.sandbox.kind)
    return content_hash("attempt", *task, agent, *asked, *limits, sample)


def _pairs(
    config: AgentsConfig, agents: Sequence[AgentFile]
) -> tuple[list[tuple[AgentFile, AgentModelConfig]], list[str]]:
    pairs, left_out = [], []
    for agent in agents:
        for model in config.models:
            provider = model.answered_by
            if provider.protocol == agent.protocol or provider.translate:
                pairs.append((agent, model))
            else:
                left_out.append(
                    f"{agent.name}/{model.name}: the agent speaks {agent.protocol}, the model's provider "
                    f"{provider.protocol}; `translate` in its provider would change that"
                )
    return pairs, left_out
