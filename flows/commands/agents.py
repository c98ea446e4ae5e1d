"""What the commands do that plan, run and report agents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from configs.errors import UserError
from flows.commands.build import agreed, finish, require, running
from flows.commands.terminal import note, say, table, warn

if TYPE_CHECKING:
    from configs.agent_runs import AgentsConfig
    from configs.models import SandboxConfig
    from flows.summaries import AgentsSummary
    from storage.tables import Attempt
    from tasks.agents.planning import Plan

_MARKS = {True: "ok", False: "--", None: "?"}


def run_plan(config: Path, out: Path | None, store: str | None, settings: list[str]) -> int:
    """Print what would run; write the plan."""
    from configs.agent_runs import load_agents_config

    loaded = load_agents_config(config, _overrides(store, settings))
    plan = _planned(loaded)
    print_plan(plan)
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(plan.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {out}: {error.strerror or error}") from error
        say(f"Plan: {out}. isobench agents run --from-plan {out} makes these attempts")
    return 0


def run_run(
    config: Path | None, from_plan: Path | None, resume: bool, max_workers: int | None, store: str | None,
    settings: list[str], verbose: bool,
) -> int:  # fmt: skip
    """Run a configuration or a plan, and print what came of it."""
    from configs.agent_runs import load_agents_config

    if (config is None) == (from_plan is None):
        raise UserError("give either CONFIG or --from-plan FILE")
    plan = None
    if from_plan is not None:
        if settings or store:
            raise UserError("a plan says all that is to run: --set and --store are for `isobench agents plan`")
        plan = read_plan(from_plan)
        loaded = plan.config
    else:
        assert config is not None
        loaded = load_agents_config(config, _overrides(store, settings))
    if max_workers is not None:
        loaded = loaded.model_copy(update={"max_workers": max_workers})
    from tasks.agents.making import must_have_keys, must_have_prices

    must_have_keys(loaded)
    must_have_prices(loaded)
    require(loaded.sandbox)
    must_confine(loaded.sandbox)
    loaded = _trusted(loaded)
    with running(loaded.store, verbose):
        from flows.agents import run_agents

        summary = run_agents(loaded, plan, resume)
    print_agents(summary)
    return finish(summary)


def read_plan(path: Path) -> Plan:
    """A plan that `run_plan` wrote. Raises UserError."""
    from pydantic import ValidationError

    from storage.exchange.read import first_problem
    from tasks.agents.planning import VERSION, Plan

    try:
        plan = Plan.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        raise UserError(f"{path} is no plan of `isobench agents plan`: {': '.join(first_problem(error))}") from None
    if plan.version != VERSION:
        raise UserError(f"{path} is a plan of another version of isobench ({plan.version}, not {VERSION}): plan again")
    return plan


def print_plan(plan: Plan) -> None:
    """What would run, per agent and model."""
    from collections import Counter

    total = Counter((planned.agent, planned.model) for planned in plan.attempts)
    left = Counter((planned.agent, planned.model) for planned in plan.open)
    budget = plan.config.budget.usd
    table(
        f"Plan {plan.run_id}: {len(plan.attempts)} attempts, {len(plan.done)} of them are in {plan.config.store}",
        [
            {
                "agent": agent, "model": model, "attempts": count, "to make": left[agent, model],
                "USD at most": None if budget is None else left[agent, model] * budget,
            }
            for (agent, model), count in total.items()
        ],
    )  # fmt: skip
    for reason in plan.left_out:
        warn(f"left out: {reason}")
    hours = len(plan.open) * plan.config.attempt.minutes / 60 / plan.config.max_workers
    most = "nothing bounds the cost: set budget.usd" if plan.most_usd is None else f"at most {plan.most_usd:.2f} USD"
    say(
        f"{len(plan.open)} attempts to make: {most}, and at most {hours:.1f} hours, {plan.config.max_workers} at a time"
    )


def print_agents(summary: AgentsSummary) -> None:
    """How the attempts ended."""
    for problem in summary.problems:
        warn(problem)
    from storage.store import Store
    from storage.tables import Attempt

    _print_attempts(Store(summary.store).rows(Attempt, attempt_id=summary.attempt_ids))
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    lost = f"; {summary.cost_lost_usd:.4f} more for times without an answer" if summary.cost_lost_usd else ""
    say(
        f"{summary.attempts} attempts: {summary.made} made now, {summary.before} were there. {statuses}. "
        f"Cost {summary.cost_usd:.4f} USD, of which {summary.cost_now_usd:.4f} now{lost}"
    )
    if summary.predictions:
        say(f"isobench evaluate --dataset {summary.store} --predictions {summary.predictions}")


def run_agents_report(store: str, run_id: str | None) -> int:
    """Print how attempts ended."""
    from storage.store import Store
    from storage.tables import Attempt

    rows = Store(store).rows(Attempt, **({} if run_id is None else {"run_id": run_id}))
    if not rows:
        raise UserError(f"no attempts in {store}: `isobench agents run CONFIG` makes them")
    _print_attempts(rows)
    return 0


def _print_attempts(rows: Sequence[Attempt]) -> None:
    from tasks.reporting.attempts import attempts_table, unanswered_table, usage_table

    table("Attempts", attempts_table(rows))
    table("Used per attempt, on the average, as the gateway counted", usage_table(rows))
    if without := unanswered_table(rows):
        table("Attempts that did not submit a patch", without)


def run_list() -> int:
    """Print the agents that come with isobench."""
    from configs.agent_files import load_agent, shipped

    found = [load_agent(name) for name in shipped()]
    table(
        "Agents",
        [
            {
                "agent": agent.name, "version": agent.install.version, "from": agent.install.kind,
                "speaks": agent.protocol, "about": agent.about,
            }
            for agent in found
        ],
    )  # fmt: skip
    return 0


def run_agents_doctor(agent: str, store: str, sandbox: Literal["local", "docker"] | None) -> int:
    """Try an agent; exit code 1 if something that attempts need does not work."""
    from configs.agent_files import load_agent
    from configs.models import SandboxConfig
    from storage.store import Store
    from tasks.agents.doctor.examining import examine
    from tasks.sandbox import open_sandbox
    from tasks.sandbox.docker.engine import default_image

    loaded = load_agent(agent)
    box = SandboxConfig(kind=sandbox or "local")
    require(box)
    note(f"Installing {loaded.name}, unless it is there, and running it once against a scripted model")
    image = default_image() if box.uses_images else None
    with open_sandbox(box) as opened:
        found = examine(loaded, Store(store).work, opened, image)
    table(
        f"{loaded.name} in the {box.kind} sandbox",
        [{"": _MARKS[check.ok], "what": check.name, "seen": check.detail} for check in found.checks],
    )
    return 0 if found.ok else 1


def must_confine(sandbox: SandboxConfig) -> None:
    """Raises UserError where nothing would hold an agent."""
    from tasks.sandbox import confines

    if not confines(sandbox):
        raise UserError(
            "agents run only where they are confined: install bubblewrap (`apt install bubblewrap`) or use the docker "
            "sandbox (`sandbox.kind: docker`); `isobench doctor` says what this machine has"
        )


def _planned(config: AgentsConfig) -> Plan:
    """Raises UserError also for a budget that cannot be kept."""
    from storage.store import Store
    from tasks.agents.making import must_have_prices
    from tasks.agents.planning import make_plan, wanted

    must_have_prices(config)
    agents, instances, problems = wanted(config)
    for problem in problems:
        warn(problem)
    return make_plan(config, agents, instances, Store(config.store))


def _trusted(config: AgentsConfig) -> AgentsConfig:
    """With the user's consent to what the dataset asks for, if any is needed. Raises UserError without it."""
    from flows.trust import needs_trust
    from storage.exchange.read import read_instances
    from storage.store import Store

    if config.sandbox.trust:
        return config
    source = config.dataset or config.store
    asked = needs_trust(read_instances(source)[0], source, config.sandbox, Store(config.store))
    return config.model_copy(update={"sandbox": agreed(source, asked, config.sandbox)})


def _overrides(store: str | None, settings: list[str]) -> list[str]:
    return [*settings, *([f"store={store}"] if store else [])]
