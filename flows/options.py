"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

StoreOption = Annotated[str, typer.Option("--store", help="Folder or fsspec URL of the store.")]
StoreOverride = Annotated[str | None, typer.Option("--store", help="Store to use instead of the one in CONFIG.")]
ConfigArgument = Annotated[Path, typer.Argument(help="YAML file, e.g. configs/more-itertools.yaml.", metavar="CONFIG")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one setting, e.g. `--set sandbox.kind=docker`. May be repeated."),
]
SandboxOption = Annotated[Literal["local", "docker"] | None, typer.Option(help="Where code runs.")]
RetryOption = Annotated[
    list[str] | None,
    typer.Option("--retry", help="Make again: failed, inconclusive, a stage, or an item. May be repeated."),
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="STAGE", help="Run one stage alone, on what the store holds by now.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log.")]
