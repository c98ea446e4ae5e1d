"""The commands that score predictions, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.options import (
    OnlyOption,
    RetryOption,
    SandboxOption,
    VerboseOption,
)

evaluating = typer.Typer()


@evaluating.command(
    epilog="Example: `isobench evaluate --dataset instances.jsonl --predictions a.jsonl b.jsonl --k 3 --run-id paper`"
)
def evaluate(
    dataset: Annotated[str, typer.Option(help="A store, or a .jsonl or .parquet file of canonical instances.")],
    predictions: Annotated[list[Path], typer.Option(help="Files with instance_id, model_patch, model_name_or_path.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Further prediction files.")] = None,
    k: Annotated[int, typer.Option(min=1, help="Report Opt@1 to Opt@K.")] = 1,
    run_id: Annotated[str | None, typer.Option(help="Name of this evaluation. Default: from its content.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds for one call of one arm.")] = None,
    tests: Annotated[
        float | None, typer.Option(min=0, help="Seconds of the repository's own tests per patch; 0: none.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Where results go. Default: the dataset, if it is a store.")] = None,
    sandbox: SandboxOption = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run what the dataset asks for where no sandbox holds it; without it, asks.")
    ] = False,
    only: OnlyOption = None,
    retry: RetryOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Time predictions beside the human's patch and report Opt@K."""
    from flows.commands.build import run_evaluation

    files = [*predictions, *(more or [])]
    return run_evaluation(dataset, files, k, run_id, timeout, tests, store, sandbox, trust, verbose, only, retry or [])


@evaluating.command(epilog="Example: `isobench report ./store --out ./report`")
def report(
    store: Annotated[str, typer.Argument(help="Folder or fsspec URL of the store.")] = "./store",
    out: Annotated[Path, typer.Option(help="Folder to write index.html to.")] = Path("./report"),
) -> int:
    """Write one self-contained HTML page: funnel, instances with their timing strips, Opt@K."""
    from flows.commands.show import run_report

    return run_report(store, out)
