"""Requests to models through a batch file: `isobench batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.options import (
    ConfigArgument,
    SetOption,
    StoreOverride,
    VerboseOption,
)

batch = typer.Typer(
    help="Answer requests to models through a batch file: at half the price, by hand, or with a model that has no API.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@batch.command("export", epilog="Example: `isobench batch export configs/more-itertools.yaml requests.jsonl`")
def batch_export(
    config: ConfigArgument,
    file: Annotated[Path, typer.Argument(help="File to write, one request per line.", metavar="FILE")],
    form: Annotated[
        Literal["openai", "anthropic"] | None,
        typer.Option("--format", help="Whose batch service. Default: the one that llm.model names, else openai."),
    ] = None,
    until: Annotated[
        Literal["mining", "apis", "perftests", "timing", "instances"], typer.Option(help="Last stage to run.")
    ] = "instances",
    store: StoreOverride = None,
    settings: SetOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Run without sending anything, and write all requests that wait for an answer."""
    from flows.commands.batch import run_batch_export

    return run_batch_export(config, file, form, until, store, settings or [], verbose)


@batch.command("import", epilog="Example: `isobench batch import configs/more-itertools.yaml answers.jsonl`")
def batch_import(
    config: ConfigArgument,
    file: Annotated[
        Path, typer.Argument(help="A provider's results, or lines of custom_id and text by hand.", metavar="FILE")
    ],
    store: StoreOverride = None,
    settings: SetOption = None,
) -> int:
    """Keep the answers of a file; the next run finds them."""
    from flows.commands.batch import run_batch_import

    return run_batch_import(config, file, store, settings or [])
