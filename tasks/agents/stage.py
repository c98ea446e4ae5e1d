"""Door of agents."""

from __future__ import annotations

from typing import Any

from prefect import task

from storage.store import Store
from tasks.agents.predictions import Loaded, file_digest, read_predictions
from tasks.caching import cache_key


def _key(_: Any, parameters: dict[str, Any]) -> str:
    known = parameters["instance_ids"]
    return cache_key(
        "agents",
        "load_predictions",
        [file_digest(path) for path in parameters["files"]],
        None if known is None else sorted(known),
    )


@task(
    name="load predictions",
    tags=["agents"],
    cache_key_fn=_key,
    persist_result=True,
    result_serializer="json",
)
def load_predictions(files: list[str], instance_ids: list[str] | None, store: str) -> Loaded:
    """Read prediction files (.jsonl, .json, .parquet) and append their rows to `predictions`.

    `instance_ids` are those of the dataset; predictions for others are counted and left out. None takes all. Lines that
    cannot be used are listed with file, line and reason. Cached by the files' content.
    """
    return read_predictions(files, instance_ids, Store(store, run="agents"))
