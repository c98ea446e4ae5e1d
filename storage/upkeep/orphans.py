"""Files of a store that nothing speaks of: what killed writers left, and trajectories and logs that no row names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from storage.files import LOGS, TRAJECTORIES
from storage.store import Store
from storage.tables import TABLES, Attempt, Prediction, Row

YOUNG_S = 24 * 3600.0
"""What is younger may be being written: a trajectory is there before the row that names it."""


def orphans(store: Store) -> Iterator[str]:
    """Their paths, as the store's file system names them. Raises StoreError if the rows cannot be read."""
    for kind in TABLES.values():
        for folder in store.folders(kind):
            for path, old in _files(store, folder):
                name = os.path.basename(path)
                if old and name.startswith(".") and name.endswith(".tmp"):
                    yield path
    named = _named(store)
    for folder in (TRAJECTORIES, LOGS):
        top = f"{store.path}/{folder}"
        for path, old in _files(store, top):
            if old and path.removeprefix(f"{store.path}/") not in named:
                yield path


def _named(store: Store) -> set[str]:
    columns: dict[type[Row], tuple[str, ...]] = {
        Prediction: ("trajectory",),
        Attempt: ("trajectory", "original", "log"),
    }
    frames = [store.frame(kind, columns=names) for kind, names in columns.items()]
    return {
        value
        for frame, names in zip(frames, columns.values(), strict=True)
        for name in names
        for value in frame[name].drop_nulls()
    }


def _files(store: Store, folder: str) -> Iterator[tuple[str, bool]]:
    """(path, whether it is old enough) of all files below a folder, but for links and what they lead to."""
    if not store.is_local:
        store.fs.invalidate_cache(folder)
        for path, entry in store.fs.find(folder, detail=True).items():
            yield path, _age_s(entry) > YOUNG_S
        return
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            yield path, time.time() - os.lstat(path).st_mtime > YOUNG_S


def _age_s(entry: dict[str, Any]) -> float:
    changed = entry.get("LastModified") or entry.get("mtime") or entry.get("created")
    if isinstance(changed, datetime):
        return time.time() - changed.timestamp()
    return time.time() - changed if isinstance(changed, (int, float)) else 0.0
