"""The commands that say what is there, and what a file or a machine is good for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from configs.errors import UserError
from flows.options import (
    SandboxOption,
    SetOption,
    StoreOption,
)

showing = typer.Typer()


@showing.command(epilog="Example: `isobench show commits --where kept --limit 20`")
def show(
    table: Annotated[
        str,
        typer.Argument(
            help="commits, apis, perf_tests, measurements, comparisons, instances, ...; or prompt, or costs"
        ),
    ],
    item: Annotated[
        str | None,
        typer.Argument(
            help="With prompt: a sha, a call_id or a request_key of llm_calls (prefixes do). With costs: a sha."
        ),
    ] = None,
    store: StoreOption = "./store",
    where: Annotated[
        str | None, typer.Option(help="SQL condition, e.g. `kept` or `score > 2 AND repo = 'a/b'`.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Comma-separated columns, or `all`.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 50,
    stage: Annotated[str | None, typer.Option(help="With prompt: mining, apis, perftests, statements.")] = None,
    items: Annotated[bool, typer.Option("--items", help="With funnel: each item instead of counts by reason.")] = False,
    form: Annotated[
        Literal["table", "json", "csv", "markdown"],
        typer.Option("--format", help="A table for people, or all values in full: JSON lines, CSV, Markdown."),
    ] = "table",
) -> int:
    """Show a table of the store, of the funnel what fell out where and why; the exact prompt that was sent: `isobench
    show prompt SHA --stage perftests`; or what models cost, by stage and commit: `isobench show costs`.
    """
    if table == "prompt":
        from flows.commands.batch import run_show_prompt

        return run_show_prompt(item, store, stage)
    if table == "costs":
        from flows.commands.batch import run_show_costs

        return run_show_costs(item, store, limit)
    if item is not None:
        raise UserError(f"'isobench show {table}' takes no further argument; did you mean `--where`?")
    from flows.commands.show import run_show, run_show_funnel

    if table == "funnel" and not (items or where or columns):
        return run_show_funnel(store, form)
    return run_show(table, store, where, columns, limit, form)


@showing.command(epilog="Example: `isobench why a51df6d9e2`")
def why(
    sha: Annotated[str, typer.Argument(help="A commit, or the first digits of its sha.")],
    store: StoreOption = "./store",
    repo: Annotated[str | None, typer.Option(help="Which repository, owner/name, if the store has several.")] = None,
) -> int:
    """Tell a commit's whole story: score, APIs, environment, each perf test with its gates, sessions, verdict, and what
    could be done.
    """
    from flows.commands.show import run_why

    return run_why(sha, store, repo)


@showing.command(epilog="Example: `isobench rule swe-fficiency --run-id paper`")
def rule(
    name: Annotated[str, typer.Argument(help="gso, swe-fficiency, swe-perf, formula-code or iso-bench.")],
    store: StoreOption = "./store",
    run_id: Annotated[str | None, typer.Option(help="Which evaluation, if the store has several.")] = None,
) -> int:
    """Read an evaluation by another benchmark's rule: nothing is timed again."""
    from flows.commands.show import run_rule

    return run_rule(name, store, run_id)


@showing.command(epilog="Example: `isobench calibrate --minutes 10 --sandbox docker`")
def calibrate(
    store: StoreOption = "./store",
    minutes: Annotated[float, typer.Option(min=0, help="How long to measure; more comparisons say more.")] = 5,
    sandbox: SandboxOption = None,
) -> int:
    """Measure this machine: the noise of identical code, which speedups it tells apart, and in what time.

    Keep the machine quiet meanwhile. Later calibrations of the same machine add to the earlier ones.
    """
    from flows.commands.calibrate import run_calibrate

    return run_calibrate(store, minutes, sandbox)


@showing.command(epilog="Example: `isobench validate configs/*.yaml`")
def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML files.", metavar="FILE...")], settings: SetOption = None
) -> int:
    """Check configuration files; names file, line, field and what was expected."""
    from flows.commands.show import run_validate

    return run_validate(files, settings or [])


@showing.command()
def doctor() -> int:
    """Say what is here, what is missing, and how to get it."""
    from flows.commands.show import run_doctor

    return run_doctor()
