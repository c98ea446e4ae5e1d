"""The commands that build a dataset: whole, stage by stage, on a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.options import (
    ConfigArgument,
    OnlyOption,
    RetryOption,
    SandboxOption,
    SetOption,
    StoreOption,
    StoreOverride,
    VerboseOption,
)

building = typer.Typer()

KeywordsOption = Annotated[
    bool | None,
    typer.Option(
        "--keywords/--no-keywords",
        help="Take changes whose message holds a performance keyword, or judge all by their score.",
        show_default="by score, unless CONFIG says mining.use_keywords",
    ),
]


@building.command(epilog="Example: `isobench demo --store /tmp/demo --sandbox docker`")
def demo(
    store: StoreOption = "./store",
    sandbox: SandboxOption = None,
    agents: Annotated[
        bool, typer.Option("--agents", help="Run mini-swe-agent with scripted models, and score what it does.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Build a benchmark from the embedded demo repository and score three sets of predictions, or an agent's. Needs no
    network; with `--agents` once, to install the agent.
    """
    from flows.commands.build import run_demo

    return run_demo(store, sandbox, verbose, agents)


@building.command(epilog="Example: `isobench build configs/more-itertools.yaml --set mining.max_candidates=10`")
def build(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    only: OnlyOption = None,
    retry: RetryOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Build a dataset: every stage from mining to instances, or one of them."""
    return _build(config, store, settings, verbose, "instances", keywords, only, retry)


@building.command(epilog="Example: `isobench refresh nightly --store ./store --dry-run`")
def refresh(
    configs: Annotated[Path, typer.Argument(help="Folder of YAML files, one per repository.", metavar="FOLDER")],
    store: StoreOverride = None,
    settings: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be withdrawn by what the store says now.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Build every configuration of a folder, withdraw what no longer holds, and make a version of the dataset."""
    from flows.commands.refresh import run_plan, run_refresh

    if dry_run:
        return run_plan(configs, store, settings or [])
    return run_refresh(configs, store, settings or [], verbose)


@building.command(epilog="Example: `isobench sweep configs/more-itertools.yaml --set sweep.max_windows=4`")
def sweep(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    null: Annotated[
        bool, typer.Option("--null", help="Time commits against themselves instead: the rate of false steps.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Find changes that made the repository's own tests faster by timing them over its history."""
    from flows.commands.sweep import run_sweep

    return run_sweep(config, store, settings or [], null, verbose)


@building.command(epilog="Example: `isobench mine configs/more-itertools.yaml --set mining.min_score=2`")
def mine(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Mine the history for candidate changes (and ask the model about them, if there is one)."""
    return _build(config, store, settings, verbose, "mining", keywords)


@building.command(epilog="Example: `isobench apis configs/more-itertools.yaml`")
def apis(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Mine, then find the public APIs that each candidate reaches."""
    return _build(config, store, settings, verbose, "apis", keywords)


@building.command(epilog="Example: `isobench perftests configs/more-itertools.yaml --set perf_tests.sources=[pytest]`")
def perftests(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """All stages up to perf tests that passed the gates."""
    return _build(config, store, settings, verbose, "perftests", keywords)


@building.command("time", epilog="Example: `isobench time configs/more-itertools.yaml --set timing.budget_s=120`")
def time_command(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """All stages up to timing base against human."""
    return _build(config, store, settings, verbose, "timing", keywords)


def _build(
    config: Path,
    store: str | None,
    settings: list[str] | None,
    verbose: bool,
    until: Any,
    keywords: bool | None,
    only: str | None = None,
    retry: list[str] | None = None,
) -> int:
    from flows.commands.build import run_build

    chosen = [*(settings or []), *([f"mining.use_keywords={str(keywords).lower()}"] if keywords is not None else [])]
    return run_build(config, store, chosen, verbose, until, only, retry or [])
