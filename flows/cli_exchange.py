"""Commands that speak with Harbor, declared as in `cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.options import StoreOption

importing = typer.Typer(help="Take in what other harnesses made.", no_args_is_help=True, rich_markup_mode="markdown")
harbor = typer.Typer(
    help="What the containers of exported Harbor tasks run.", no_args_is_help=True, rich_markup_mode="markdown"
)

TaskArgument = Annotated[Path, typer.Argument(help="The task's folder environment/ or tests/.", metavar="FOLDER")]
TaskStore = Annotated[str, typer.Option("--store", help="Where clone, environment and results lie.")]


@importing.command("harbor", epilog="Example: `isobench import harbor jobs/2026-11-28__01-02-03 --store ./store`")
def import_harbor(
    job: Annotated[Path, typer.Argument(help="Folder of a Harbor job.", metavar="JOBDIR")],
    store: StoreOption = "./store",
) -> int:
    """Take the trials of a Harbor job as attempts and predictions, with their trajectories (ATIF)."""
    from flows.commands.harbor import run_import_harbor

    return run_import_harbor(job, store)


@harbor.command("prepare", epilog="Example: `isobench harbor prepare /tests`, in tests/Dockerfile")
def harbor_prepare(
    folder: TaskArgument,
    workspace: Annotated[Path | None, typer.Option(help="Write the agent's workspace there.")] = None,
    environment: Annotated[Path | None, typer.Option(help="Write the agent's environment there.")] = None,
    store: TaskStore = "/var/lib/isobench",
) -> int:
    """Build a task's environment while its image is built, since judging has no network."""
    from flows.commands.harbor import run_prepare

    return run_prepare(folder, store, workspace, environment)


@harbor.command("judge", epilog="Example: `isobench harbor judge /tests`, in tests/test.sh")
def harbor_judge(
    folder: TaskArgument,
    workspace: Annotated[Path, typer.Option(help="What the agent left.")] = Path("/workspace"),
    out: Annotated[Path, typer.Option(help="Folder for reward.json, model.patch, scores.json.")] = Path(
        "/logs/verifier"
    ),
    store: TaskStore = "/var/lib/isobench",
) -> int:
    """Time base, human and a workspace's change in one session, and write Harbor's reward."""
    from flows.commands.harbor import run_judge

    return run_judge(folder, workspace, out, store)
