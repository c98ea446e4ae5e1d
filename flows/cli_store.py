"""The commands that keep a store for years: `isobench store`."""

from __future__ import annotations

from typing import Annotated

import typer

store_commands = typer.Typer(
    help="Keep a store for years: compact its parts, remove what nobody needs, name what is broken.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

StoreArgument = Annotated[str, typer.Argument(help="Folder or fsspec URL of the store.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@store_commands.command(epilog="Example: `isobench store compact ./store`")
def compact(store: StoreArgument = "./store", dry_run: DryRunOption = False) -> int:
    """Put many small parts together into few: the newest row of each key stays, older ones go.

    Runs may read and write meanwhile, and a kill at any point loses nothing.
    """
    from flows.commands.store import run_compact

    return run_compact(store, dry_run)


@store_commands.command(epilog="Example: `isobench store prune ./store --days 30 --dry-run`")
def prune(
    store: StoreArgument = "./store",
    days: Annotated[float, typer.Option(min=1, help="A cached result that no run asked for in so long goes.")] = 60,
    dry_run: DryRunOption = False,
) -> int:
    """Remove old results, the environments and checkouts that only they name, and what killed runs left.

    All of it is made again when something needs it. Tables, answers of models, and clones stay.
    """
    from flows.commands.store import run_prune

    return run_prune(store, days, dry_run)


@store_commands.command(epilog="Example: `isobench store check ./store`")
def check(store: StoreArgument = "./store") -> int:
    """Read everything and name what is broken; exit code 1 if something is."""
    from flows.commands.store import run_check

    return run_check(store)


@store_commands.command(epilog="Example: `isobench store du ./store`")
def du(store: StoreArgument = "./store") -> int:
    """What the store takes on the disk, by table and by kind of cache."""
    from flows.commands.store import run_du

    return run_du(store)
