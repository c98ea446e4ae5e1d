"""The commands `isobench agents ...`, declared as in `cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.options import SandboxOption, SetOption, StoreOption, StoreOverride, VerboseOption

agents = typer.Typer(
    help="Run coding agents on instances: what would run, run it, what came of it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
AgentsArgument = Annotated[Path, typer.Argument(help="YAML file that names agents and models.", metavar="CONFIG")]


@agents.command("plan", epilog="Example: `isobench agents plan agents.yaml --out plan.json`")
def agents_plan(
    config: AgentsArgument,
    out: Annotated[Path | None, typer.Option(help="File to write the plan to, for `run --from-plan`.")] = None,
    store: StoreOverride = None,
    settings: SetOption = None,
) -> int:
    """Say what would run, how many attempts, and what they can cost at most. Nothing is sent or installed."""
    from flows.commands.agents import run_plan

    return run_plan(config, out, store, settings or [])


@agents.command("run", epilog="Example: `isobench agents run --from-plan plan.json --max-workers 4`")
def agents_run(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file that names agents and models.", metavar="[CONFIG]")
    ] = None,
    from_plan: Annotated[Path | None, typer.Option(help="Make exactly the attempts of a plan.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Start nothing unless the store has some of these attempts already.")
    ] = False,
    max_workers: Annotated[int | None, typer.Option(min=1, help="Attempts at the same time.")] = None,
    store: StoreOverride = None,
    settings: SetOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Make all attempts that the store does not have. After Ctrl-C or a crash the same command goes on: attempts that
    ended with an answer are never made, or paid for, again.
    """
    from flows.commands.agents import run_run

    return run_run(config, from_plan, resume, max_workers, store, settings or [], verbose)


@agents.command("report", epilog="Example: `isobench agents report --store ./store`")
def agents_report(
    store: StoreOption = "./store",
    run_id: Annotated[str | None, typer.Option(help="Only attempts of this run.")] = None,
) -> int:
    """Say how attempts ended, what they used and cost, and how much of the answer they were shown."""
    from flows.commands.agents import run_agents_report

    return run_agents_report(store, run_id)


@agents.command("list", epilog="Example: `isobench agents list`")
def agents_list() -> int:
    """List the agents that come with isobench."""
    from flows.commands.agents import run_list

    return run_list()


@agents.command("doctor", epilog="Example: `isobench agents doctor codex --sandbox docker`")
def agents_doctor(
    agent: Annotated[str, typer.Argument(help="Name of an agent, or path of its YAML file.", metavar="AGENT")],
    store: StoreOption = "./store",
    sandbox: SandboxOption = None,
) -> int:
    """Install an agent, run it once against a built-in scripted model, and say what works. Needs no key."""
    from flows.commands.agents import run_agents_doctor

    return run_agents_doctor(agent, store, sandbox)
