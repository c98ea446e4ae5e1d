"""What the commands do that take instances out of a store: to a file, to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import UserError
from flows.commands.terminal import complain, say

if TYPE_CHECKING:
    from storage.exchange.export import Layout


def run_export(store: str, file: Path, layout: Layout, repo: str | None, withdrawn: bool = False) -> int:
    """Write the instances of a store to a .jsonl or .parquet file; exit code 2 if there are none."""
    from storage.exchange.export import complete_instances, export
    from storage.exchange.hub import write_parquet
    from storage.store import Store

    opened = Store(store)
    rows = complete_instances(opened, repo, withdrawn)
    if not rows:
        raise UserError(f"no instances{f' of {repo}' if repo else ''} in {store}: `isobench build CONFIG` makes them")
    if file.suffix == ".parquet":
        if layout != "isobench":
            raise UserError(f"{file}: the layout {layout} is written as JSON Lines; name the file .jsonl")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_parquet(rows, file)
        except OSError as error:
            raise UserError(f"cannot write {file}: {error.strerror or error}") from error
    elif file.suffix in (".jsonl", ".ndjson"):
        export(opened, file, layout, repo, withdrawn)
    else:
        raise UserError(f"{file}: expected a name that ends in .jsonl or .parquet")
    say(f"{len(rows)} instances: {file}")
    return 0


def run_export_predictions(store: str, file: Path, repo: str | None) -> int:
    """Write the predictions of a store as SWE-bench's harness reads them; exit code 2 if there are none."""
    from storage.exchange.predictions import export_predictions
    from storage.store import Store
    from storage.tables import Prediction

    if file.suffix not in (".jsonl", ".ndjson"):
        raise UserError(f"{file}: predictions are written as JSON Lines; name the file .jsonl")
    opened = Store(store)
    if opened.frame(Prediction, repo, columns=()).is_empty():
        raise UserError(f"no predictions{f' for {repo}' if repo else ''} in {store}: agents and evaluations leave them")
    say(f"{export_predictions(opened, file, repo)} predictions: {file}")
    return 0


def run_publish(config: Path, store: str | None, settings: list[str]) -> int:
    """Upload the instances of a store to the Hub dataset that the configuration names; exit code 1 if the Hub fails."""
    from configs.loading import load_config
    from configs.secrets import load_secrets
    from storage.exchange.hub import publish
    from storage.store import Store

    loaded = load_config(config, [*settings, *([f"store={store}"] if store else [])])
    try:
        url = publish(Store(loaded.store), loaded.publishing, load_secrets().hf_token)
    except OSError as error:  # what the Hub's client raises, too
        complain(f"nothing was published, the Hub cannot be reached or has a fault; run the command again: {error}")
        return 1
    say(f"Published: {url}")
    return 0
