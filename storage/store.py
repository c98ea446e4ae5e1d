"""The store: immutable Parquet parts under `<root>/<table>/repo=<owner__name>/<run>-<n>.parquet`."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from storage.schema import WRITTEN_AT, arrow_schema, conform
from storage.tables import TABLES, Row, partition_of

R = TypeVar("R", bound=Row)


class StoreError(RuntimeError):
    """The store cannot be read or written: the message says which path and what to do."""


class Store:
    """Tables of rows in a folder or at any fsspec URL.

    Writers only add parts, under names that nobody else uses, so any number of them may write at once. Readers take
    the newest row per key. A part appears whole or not at all: it is written under a temporary name and renamed.
    """

    def __init__(self, root: str | Path, run: str = "run") -> None:
        """`run` goes into part names, to tell by eye who wrote what."""
        self.root = str(root) if "://" in str(root) else str(Path(root).expanduser().resolve())
        self.run = run
        self._fs, self._path = fsspec.core.url_to_fs(self.root)
        self._count = 0
        self._lock = threading.Lock()

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "://" not in self.root

    @property
    def cache(self) -> str:
        """Where cached task results live: `<root>/.cache`. Delete the store and all is forgotten."""
        return f"{self.root}/.cache"

    @property
    def work(self) -> Path:
        """Local folder of clones, checkouts and environments, created on first use.

        Inside the store where that is a folder; for a remote store in the user's cache folder, named by the URL.
        """
        if self.is_local:
            path = Path(self.root) / ".cache" / "work"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
            path = base / "isobench" / hashlib.sha256(self.root.encode()).hexdigest()[:16]
        path.mkdir(parents=True, exist_ok=True)
        return path

    def append(self, rows: Iterable[Row]) -> int:
        """Write rows, one part per table and repository; returns how many. A row with a known key replaces it.

        Raises StoreError if the disk or the remote refuses.
        """
        groups: dict[tuple[type[Row], str], list[Row]] = {}
        for row in rows:
            groups.setdefault((type(row), partition_of(row)), []).append(row)
        now = datetime.now(UTC)
        for (kind, partition), members in groups.items():
            records = [{**row.model_dump(), WRITTEN_AT: now} for row in members]
            self._write(kind, partition, pa.Table.from_pylist(records, schema=arrow_schema(kind)))
        return sum(len(members) for members in groups.values())

    def _write(self, kind: type[Row], partition: str, table: pa.Table) -> None:
        with self._lock:
            self._count += 1
            count = self._count
        folder = f"{self._path}/{kind.table}/repo={partition}"
        name = f"{self.run}-{count}-{uuid.uuid4().hex[:8]}.parquet"
        temporary = f"{folder}/.{name}.tmp"
        try:
            self._fs.makedirs(folder, exist_ok=True)
            with self._fs.open(temporary, "wb") as file:
                pq.write_table(table, file, compression="zstd")
            self._fs.mv(temporary, f"{folder}/{name}")
        except OSError as error:
            try:
                if self._fs.exists(temporary):
                    self._fs.rm(temporary)
            except OSError:
                pass  # the first error is the one to report
            raise StoreError(f"cannot write {folder}/{name}: {error}") from error

    def frame(self, kind: type[Row], repo: str | None = None) -> pl.DataFrame:
        """The newest row per key as a polars frame, in the order of writing; without `written_at`.

        `repo` (`owner/name`) reads that partition only. An absent table is an empty frame with the right columns.
        Raises SchemaError for a part that does not hold what the row type says.
        """
        parts = [conform(self._read(path), kind, path) for path in self._parts(kind, repo)]
        table = pa.concat_tables(parts) if parts else arrow_schema(kind).empty_table()
        frame: pl.DataFrame = pl.DataFrame(table)
        return (
            frame.sort(WRITTEN_AT, maintain_order=True)
            .unique(subset=list(kind.key_columns), keep="last", maintain_order=True)
            .drop(WRITTEN_AT)
        )

    def rows(self, kind: type[R], repo: str | None = None, **equals: Any) -> list[R]:
        """The newest row per key as validated models; keyword arguments keep rows whose column has that value."""
        frame = self.frame(kind, repo)
        for column, value in equals.items():
            if isinstance(value, (list, tuple, set)):
                frame = frame.filter(pl.col(column).is_in(list(value)))
            else:
                frame = frame.filter(pl.col(column) == value)
        return [kind.model_validate(record) for record in frame.iter_rows(named=True)]

    def tables(self) -> list[str]:
        """Names of the tables that have at least one part."""
        return [name for name, kind in TABLES.items() if self._parts(kind, None)]

    def _parts(self, kind: type[Row], repo: str | None) -> Sequence[str]:
        partition = repo.replace("/", "__") if repo else "*"
        found = self._fs.glob(f"{self._path}/{kind.table}/repo={partition}/*.parquet")
        return sorted(path for path in found if not path.rsplit("/", 1)[-1].startswith("."))

    def _read(self, path: str) -> pa.Table:
        try:
            with self._fs.open(path, "rb") as file:
                return pq.ParquetFile(file).read()
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(f"cannot read {path}: {error}") from error
