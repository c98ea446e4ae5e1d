"""What a store takes on the disk, by table and by kind of cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.files import LOGS, TRAJECTORIES
from storage.store import Store
from storage.tables import TABLES, Row


@dataclass(frozen=True)
class Use:
    """One table, or one folder."""

    what: str
    bytes: int
    parts: int | None = None
    rows: int | None = None
    """With older rows of the same keys. None where a part cannot be read: `isobench store check` names it."""


def usage(store: Store) -> Iterator[Use]:
    """Tables that have parts, then files beside them, then, of a local store, its caches."""
    for kind in TABLES.values():
        if found := _table(store, kind):
            yield found
    for folder in (TRAJECTORIES, LOGS):
        top = f"{store.path}/{folder}"
        size = _size(Path(top)) if store.is_local else int(store.fs.du(top))
        if size:
            yield Use(folder, size)
    cache = Path(store.cache)
    if store.is_local and cache.is_dir() and not cache.is_symlink():
        yield from _caches(cache)


def _table(store: Store, kind: type[Row]) -> Use | None:
    size, parts, rows, broken = 0, 0, 0, False
    for folder in store.folders(kind):
        for path in store.parts(folder):
            parts += 1
            try:
                size += store.fs.size(path)
                with store.fs.open(path, "rb") as file:
                    rows += pq.ParquetFile(file).metadata.num_rows
            except (OSError, pa.ArrowException):
                broken = True
    return Use(kind.table, size, parts, None if broken else rows) if parts else None


def _caches(cache: Path) -> Iterator[Use]:
    results = 0
    for entry in sorted(os.scandir(cache), key=lambda entry: entry.name):
        if not entry.is_dir(follow_symlinks=False):
            results += entry.stat(follow_symlinks=False).st_size
        elif entry.name.startswith("work-"):
            for inner in sorted(os.scandir(entry.path), key=lambda inner: inner.name):
                yield Use(f".cache/{entry.name}/{inner.name}", _size(Path(inner.path)))
        else:
            yield Use(f".cache/{entry.name}", _size(Path(entry.path)))
    yield Use(".cache (results)", results)


def _size(top: Path) -> int:
    """Bytes that the files take on the disk, each once however many names it has; links are not followed."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, folders, names in os.walk(top):
        for name in (*folders, *names):
            try:
                found = os.lstat(os.path.join(place, name))
            except OSError:  # removed meanwhile
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return total
