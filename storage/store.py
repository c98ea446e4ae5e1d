"""The store: immutable Parquet parts under `<root>/<table>/repo=<owner__name>/<run>-<n>.parquet`."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import fsspec
import polars as pl
import pyarrow as pa
from pydantic import ValidationError

from configs.errors import UserError
from configs.escaping import for_file_name
from storage.listing import Listing
from storage.lookup import WHOLE, Lookup
from storage.marks import own_cache_folder
from storage.parts import read_part, write_part
from storage.schema import WRITTEN_AT, SchemaError, arrow_schema
from storage.tables import TABLES, Row, partition_of
from storage.texts import told, visible

R = TypeVar("R", bound=Row)
T = TypeVar("T")

TRIES = 50
"""How often a table is listed anew because parts of it were compacted away between listing and reading."""

_clock = threading.Lock()
_last = datetime.min.replace(tzinfo=UTC)


class StoreError(UserError, RuntimeError):
    """The store cannot be read or written: the message says which path and what to do."""


class Store:
    """Tables of rows in a folder or at any fsspec URL.

    Writers only add parts, under names that nobody else uses, so any number of them may write at once. Readers take
    the newest row per key. A part appears whole or not at all: it is written under a temporary name and renamed.
    """

    def __init__(self, root: str | Path, run: str = "run") -> None:
        """`run` goes into part names, to tell by eye who wrote what. Raises StoreError for a URL nobody can open."""
        place = str(root).removeprefix("file://")
        self.root = place if "://" in place else str(Path(place).expanduser().resolve())
        self.run = for_file_name(run.lstrip("."), "run")
        try:
            # other processes write there, too: what was listed once is not remembered
            options = {} if self.is_local else {"use_listings_cache": False}
            self._fs, self._path = fsspec.core.url_to_fs(self.root, **options)
        except (ImportError, ValueError) as error:
            raise StoreError(f"cannot open a store at {self.root}: {error}") from error
        self._count = 0
        self._lock = threading.Lock()
        self._listing = _listing(self._fs, self._path, self.is_local)

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

        Inside the store where that is a folder, under a name that only this user's key gives: git obeys what a clone's
        configuration says, so what somebody else put into the store must not be taken for ours. For a remote store in
        the user's cache folder, named by the URL. Raises NotOurs for a cache folder that is another user's.
        """
        if self.is_local:
            path = own_cache_folder(self.root, "work")
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
            path = base / "isobench" / hashlib.sha256(self.root.encode()).hexdigest()[:16]
        path.mkdir(parents=True, exist_ok=True)
        return path

    def exists(self) -> bool:
        """Whether anything was ever written here."""
        return bool(self._fs.exists(self._path))

    def append(self, rows: Iterable[Row]) -> int:
        """Write rows, one part per table and repository; returns how many. A row with a known key replaces it.

        Raises StoreError if the disk or the remote refuses; also, when all others are written, for rows that no file
        can hold: a model that was copied with other values is not checked again.
        """
        groups: dict[tuple[type[Row], str], list[Row]] = {}
        for row in rows:
            groups.setdefault((type(row), partition_of(row)), []).append(row)
        now = _now()
        refused: list[str] = []
        for (kind, partition), members in groups.items():
            records = [{**row.model_dump(), WRITTEN_AT: now} for row in members]
            written, problems = _as_table(kind, records)
            refused += problems
            if written.num_rows:
                self._write(kind, partition, written)
        if refused:
            raise StoreError(f"{len(refused)} rows cannot be written, the first is {refused[0]}")
        return sum(len(members) for members in groups.values())

    def _write(self, kind: type[Row], partition: str, table: pa.Table) -> None:
        with self._lock:
            self._count += 1
            count = self._count
        folder = self._folder_of(kind, partition)
        if self.is_local and (os.path.islink(folder) or os.path.islink(os.path.dirname(folder))):
            raise StoreError(f"{folder} is, or lies in, a link: rows would be written to wherever it leads; remove it")
        path = f"{folder}/{self.run}-{count}-{uuid.uuid4().hex[:8]}.parquet"
        try:
            write_part(self._fs, path, table)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error}") from error

    def frame(
        self,
        kind: type[Row],
        repo: str | None = None,
        columns: Sequence[str] | None = None,
        keys: dict[str, Any] | None = None,
    ) -> pl.DataFrame:
        """The newest row per key as a polars frame, in the order of writing; without `written_at`.

        `repo` (`owner/name`) reads that partition only; `columns` reads those and the key columns only; `keys` keeps
        rows with that value, or one of those values, in a key column. An absent table is an empty frame with the right
        columns. Raises SchemaError for a part that does not hold what the row type says, StoreError for one that cannot
        be read.
        """
        wanted: tuple[str, ...] | None = None
        if columns is not None:
            chosen = {*columns, *kind.key_columns, *(["repo"] if "repo" in kind.model_fields else []), WRITTEN_AT}
            wanted = tuple(name for name in (*kind.model_fields, WRITTEN_AT) if name in chosen)
        parts = self._tables(kind, repo, wanted, keys or {})
        schema = arrow_schema(kind)
        empty = pa.schema([field for field in schema if wanted is None or field.name in wanted]).empty_table()
        frame: pl.DataFrame = pl.DataFrame(pa.concat_tables(parts) if parts else empty)
        if repo is not None and "repo" in frame.columns:
            # `a__b/c` and `a/b__c` share a folder
            frame = frame.filter(pl.col("repo") == repo)
        # before the newest rows are chosen, so that little is sorted; right for key columns only
        for name, value in (keys or {}).items():
            frame = frame.filter(_matches(name, value))
        return (
            frame.sort(WRITTEN_AT, maintain_order=True)
            .unique(subset=list(kind.key_columns), keep="last", maintain_order=True)
            .drop(WRITTEN_AT)
        )

    def rows(self, kind: type[R], repo: str | None = None, **equals: Any) -> list[R]:
        """The newest row per key as validated models; keyword arguments keep rows whose column has that value.

        A list, tuple or set keeps rows whose column has one of its values. Raises as `frame` does.
        """
        keys = {name: value for name, value in equals.items() if name in kind.key_columns}
        frame = self.frame(kind, repo, keys=keys)
        for name, value in equals.items():
            if name not in keys:
                frame = frame.filter(_matches(name, value))
        try:
            return [kind.model_validate(record) for record in frame.iter_rows(named=True)]
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(map(str, problem["loc"]))
            raise SchemaError(f"{self.root}/{kind.table}: a row's {place}: {problem['msg']}") from error

    def tables(self) -> list[str]:
        """Names of the tables that have at least one part."""
        return [name for name, kind in TABLES.items() if any(map(self._listing.parts, self.folders(kind)))]

    def folders(self, kind: type[Row]) -> Sequence[str]:
        """Paths of the partitions of a table, as its file system names them."""
        return self._listing.folders(kind.table)

    def parts(self, folder: str) -> Sequence[str]:
        """Paths of the parts of a partition, in order."""
        return self._listing.parts(folder)

    @property
    def fs(self) -> Any:
        """The fsspec file system that the parts lie on."""
        return self._fs

    @property
    def path(self) -> str:
        """The root as that file system names it."""
        return self._path

    def _tables(
        self, kind: type[Row], repo: str | None, columns: tuple[str, ...] | None, keys: dict[str, Any]
    ) -> list[pa.Table]:
        """Rows that may be meant, part by part in order; of a part, once more if it was compacted away meanwhile."""
        missing: Exception | None = None
        for _ in range(TRIES):
            try:
                folders = self._listing.folders(kind.table) if repo is None else (self._folder_of(kind, repo),)
                return [table for folder in folders for table in self._of(folder, kind, columns, keys)]
            except FileNotFoundError as error:
                missing = error
        raise StoreError(f"cannot read {self.root}/{kind.table}: parts vanish while they are read: {missing}")

    def _of(
        self, folder: str, kind: type[Row], columns: tuple[str, ...] | None, keys: dict[str, Any]
    ) -> list[pa.Table]:
        parts = self._listing.parts(folder)
        for name, value in keys.items():
            values = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
            if all(isinstance(one, (str, int, float, datetime, NoneType)) for one in values):
                lookup = _lookup(self._fs, folder, kind, name)
                places = self._told(partial(lookup.places, parts, values), folder)
                return [self._read(*place, kind, columns) for place in places]
        return [self._read(path, WHOLE, kind, columns) for path in parts]

    def _read(self, path: str, group: int, kind: type[Row], columns: tuple[str, ...] | None) -> pa.Table:
        wanted = None if group == WHOLE else group
        return self._told(partial(read_part, self._fs, path, kind, columns, wanted), path)

    @staticmethod
    def _told(read: Callable[[], T], path: str) -> T:
        try:
            return read()
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read {path}: {error}; if it is damaged, delete it and run again") from error

    def _folder_of(self, kind: type[Row], repo: str) -> str:
        return f"{self._path}/{kind.table}/repo={partition_folder(repo)}"


@lru_cache(maxsize=64)
def _listing(fs: Any, root: str, is_local: bool) -> Listing:
    """Shared by all stores of the process: each door opens one of its own."""
    return Listing(fs, root, is_local)


@lru_cache(maxsize=4096)
def _lookup(fs: Any, folder: str, kind: type[Row], column: str) -> Lookup:
    """Shared, too."""
    return Lookup(fs, kind, column)


_UNFIT = (UnicodeError, OverflowError, pa.ArrowException, TypeError)
"""What Arrow raises for a value that its column cannot hold."""


def _as_table(kind: type[Row], records: list[dict[str, Any]]) -> tuple[pa.Table, list[str]]:
    """(the records that a part can hold, what is wrong with the others)."""
    schema = arrow_schema(kind)
    try:
        return pa.Table.from_pylist(records, schema=schema), []
    except _UNFIT:
        tables, problems = [schema.empty_table()], []
        for record in map(visible, records):
            try:
                tables.append(pa.Table.from_pylist([record], schema=schema))
            except _UNFIT as error:
                keys = ", ".join(f"{name} {told(record[name])}" for name in kind.key_columns)
                problems.append(f"of {kind.table}, {keys}: {error}")
        return pa.concat_tables(tables), problems


def partition_folder(repo: str) -> str:
    """What follows `repo=` in a folder's name: records of a file by a stranger may name any repository."""
    return for_file_name(repo.replace("/", "__"))


def _now() -> datetime:
    """The time, later than any time it gave before: what is appended later is newer, whatever the clock does."""
    global _last  # noqa: PLW0603
    with _clock:
        _last = max(datetime.now(UTC), _last + timedelta(microseconds=1))
        return _last


def _matches(name: str, value: Any) -> pl.Expr:
    if isinstance(value, (list, tuple, set, frozenset)):
        return pl.col(name).is_in(list(value), nulls_equal=True)
    return pl.col(name).eq_missing(pl.lit(value))
