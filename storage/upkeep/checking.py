"""What is broken in a store, by name: parts, rows, keys, and files that rows speak of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from configs.errors import UserError
from storage.files import get
from storage.parts import forget, read_part
from storage.schema import WRITTEN_AT
from storage.store import Store, StoreError, partition_folder
from storage.tables import TABLES, Attempt, Instance, Prediction, Row, Score

AHEAD = timedelta(days=1)
"""How far the clocks of machines that share a store may be apart."""


def check(store: Store) -> Iterator[str]:
    """Each problem as a line that names the part, or table and key. Reads everything; changes nothing."""
    forget()
    whole: list[type[Row]] = []
    for kind in TABLES.values():
        problems = [problem for folder in store.folders(kind) for problem in _parts(store, kind, folder)]
        yield from problems
        if not problems:
            whole.append(kind)
            yield from _rows(store, kind)
    yield from _references(store, set(whole))


def _parts(store: Store, kind: type[Row], folder: str) -> Iterator[str]:
    where = folder.rpartition("repo=")[2]
    for path in store.parts(folder):
        try:
            table = read_part(store.fs, path, kind, None)
        except FileNotFoundError:  # compacted away meanwhile
            continue
        except (OSError, pa.ArrowException, UserError) as error:
            yield f"{path}: {error}"
            continue
        astray = {repo for repo in _repos(table) if partition_folder(repo or "_all") != where}
        if astray:
            yield f"{path}: holds rows of {', '.join(sorted(map(repr, astray)))}, which belong into another folder"
        if table.num_rows and pc.max(table.column(WRITTEN_AT)).as_py() > datetime.now(UTC) + AHEAD:
            yield f"{path}: written in the future: newer rows of the same keys do not win until then"


def _repos(table: pa.Table) -> list[str | None]:
    found: list[str | None] = table.column("repo").unique().to_pylist() if "repo" in table.column_names else []
    return found


def _rows(store: Store, kind: type[Row]) -> Iterator[str]:
    """Rows that their type refuses; each is read by itself, so that one does not hide the others."""
    for record in store.frame(kind).iter_rows(named=True):
        try:
            kind.model_validate(record)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(map(str, problem["loc"]))
            yield f"{kind.table} {_key(kind, record)}: {place}: {problem['msg']}"


def _references(store: Store, whole: set[type[Row]]) -> Iterator[str]:
    """What rows of tables that can be read name and nobody has."""
    if {Score, Prediction} <= whole:
        known = set(store.frame(Prediction, columns=())["prediction_id"])
        lost = store.frame(Score, columns=()).filter(~_is_in("prediction_id", known))
        for record in lost.iter_rows(named=True):
            yield f"scores {_key(Score, record)}: the prediction is not in the store"
    if {Prediction, Instance} <= whole:
        known = set(store.frame(Instance, columns=())["instance_id"])
        lost = store.frame(Prediction, columns=("instance_id",)).filter(~_is_in("instance_id", known))
        for name, predictions in lost.group_by("instance_id", maintain_order=True):
            yield f"predictions: {len(predictions)} are for {name[0]}, which is not in the store"
    for kind, column in ((Prediction, "trajectory"), (Attempt, "trajectory"), (Attempt, "original"), (Attempt, "log")):
        if kind in whole:
            yield from _files(store, kind, column)


def _files(store: Store, kind: type[Row], column: str) -> Iterator[str]:
    for record in store.frame(kind, columns=(column,)).iter_rows(named=True):
        relative = record[column]
        if not relative or not relative.startswith(("trajectories/", "logs/")) or ".." in Path(relative).parts:
            continue
        try:
            content = get(store, relative)
        except StoreError:
            yield f"{kind.table} {_key(kind, record)}: {relative} is not there"
            continue
        if not Path(relative).name.startswith(hashlib.sha256(content).hexdigest()):
            yield f"{relative}: its content is not what it is named by"


def _is_in(column: str, known: set[Any]) -> Any:
    return pl.col(column).is_in(list(known))


def _key(kind: type[Row], record: dict[str, Any]) -> str:
    return ", ".join(str(record[name]) for name in kind.key_columns)
