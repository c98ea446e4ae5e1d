"""The commands that hand instances on and take others' work in: exports, the Hub, Harbor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.options import ConfigArgument, SetOption, StoreOption, StoreOverride

exporting = typer.Typer()
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


@exporting.command(epilog="Example: `isobench export ./store --out instances.jsonl --layout gso`")
def export(
    store: Annotated[str, typer.Argument(help="Folder or fsspec URL of the store.")] = "./store",
    out: Annotated[
        Path | None, typer.Option(help="File to write, .jsonl or .parquet; with `--layout harbor` a folder.")
    ] = None,
    layout: Annotated[
        Literal["isobench", "gso", "swe-perf", "harbor", "predictions"],
        typer.Option(
            help="Whose fields the records have. `harbor`: a task folder per instance. "
            "`predictions`: not instances but predictions, as SWE-bench reads them."
        ),
    ] = "isobench",
    repo: Annotated[str | None, typer.Option(help="Only instances of this repository, owner/name.")] = None,
    image: Annotated[
        str | None, typer.Option(help="With `harbor`: base image of the containers. Default: the environment's.")
    ] = None,
    withdrawn: Annotated[
        bool, typer.Option("--withdrawn", help="Also instances that no longer hold (not with `harbor`).")
    ] = False,
) -> int:
    """Write the instances to one file, which `isobench evaluate --dataset` and other harnesses read; or to Harbor's
    task folders; or the predictions.
    """
    from flows.commands.export import run_export, run_export_predictions

    if layout == "harbor":
        from flows.commands.harbor import run_export_tasks

        return run_export_tasks(store, out or Path("./tasks"), repo, image)
    if layout == "predictions":
        return run_export_predictions(store, out or Path("./predictions.jsonl"), repo)
    return run_export(store, out or Path("./instances.jsonl"), layout, repo, withdrawn)


@exporting.command(
    epilog="Example: `HF_TOKEN=... isobench publish configs/mine.yaml --set publishing.hub_dataset=me/fast`"
)
def publish(config: ConfigArgument, store: StoreOverride = None, settings: SetOption = None) -> int:
    """Upload the instances to the Hugging Face Hub dataset that CONFIG names, with a dataset card."""
    from flows.commands.export import run_publish

    return run_publish(config, store, settings or [])
