"""Many small parts become few large ones. Readers meanwhile see the old rows, or the same rows in a new part.

The new part holds the newest row of each key of the parts that it replaces, with the time at which the row was written.
The old parts are removed only when the new one is on the disk. So a kill at any point leaves rows twice at worst, which
reading settles and the next compaction tidies. Two compactions at once do the same work twice.
"""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import UserError
from storage.listing import COMPACTED
from storage.parts import read_part, write_part
from storage.schema import WRITTEN_AT, arrow_schema
from storage.store import Store, StoreError
from storage.tables import TABLES, Row

LARGE_BYTES = 32 * 2**20
"""A part on the disk that is left as it is; small ones are put together until they are as large."""
MOST_IN_MEMORY = 256 * 2**20
"""Bytes of rows that are put together at once, before Arrow's own compression."""


@dataclass
class Compacted:
    """What was done, or (`dry_run`) would be done."""

    parts_before: int = 0
    parts_after: int = 0
    rows_dropped: int = 0
    """Older rows of keys that have a newer one."""
    problems: list[str] = field(default_factory=list)
    """Parts that were left as they are, each with the reason."""


@dataclass(frozen=True)
class _Part:
    path: str
    bytes: int
    in_memory: int


def compact(store: Store, dry_run: bool = False) -> Compacted:
    """Compact every table. What cannot be read, and what a newer isobench wrote, is left as it is and named.

    Raises StoreError where the store itself cannot be listed, OSError if the disk is full; nothing is lost then.
    """
    done = Compacted()
    for kind in TABLES.values():
        for folder in store.folders(kind):
            if store.is_local and (os.path.islink(folder) or os.path.islink(os.path.dirname(folder))):
                done.problems.append(f"{folder} is, or lies in, a link")
                continue
            _compact_folder(store, kind, folder, done, dry_run)
    return done


def _compact_folder(store: Store, kind: type[Row], folder: str, done: Compacted, dry_run: bool) -> None:
    paths = store.parts(folder)
    done.parts_before += len(paths)
    done.parts_after += len(paths)
    for batch in _batches(_small(store, kind, paths, done)):
        tables = _read(store, kind, batch, done)
        if len(tables) > 1:
            done.rows_dropped += _merge(store, kind, folder, tables, dry_run)
            done.parts_after -= len(tables) - 1


def _small(store: Store, kind: type[Row], paths: Sequence[str], done: Compacted) -> Iterator[_Part]:
    """Parts that may be put together with others: none that would lose something by it."""
    names = set(arrow_schema(kind).names)
    for path in paths:
        try:
            if store.is_local and not stat.S_ISREG(os.lstat(path).st_mode):
                done.problems.append(f"{path} is a link")
                continue
            size = store.fs.size(path)
            with store.fs.open(path, "rb") as file:
                part = pq.ParquetFile(file)
                meta = part.metadata
                in_memory = sum(meta.row_group(number).total_byte_size for number in range(meta.num_row_groups))
                unknown = set(part.schema_arrow.names) - names
            if unknown:
                done.problems.append(f"{path} has columns of a newer isobench: {', '.join(sorted(unknown))}")
            elif size < LARGE_BYTES:
                yield _Part(path, size, in_memory)
        except FileNotFoundError:
            continue
        except (OSError, pa.ArrowException, UserError) as error:
            done.problems.append(f"{path}: {error}")


def _batches(parts: Iterator[_Part]) -> Iterator[list[_Part]]:
    batch: list[_Part] = []
    for part in parts:
        if batch and (
            sum(one.bytes for one in batch) + part.bytes > LARGE_BYTES
            or sum(one.in_memory for one in batch) + part.in_memory > MOST_IN_MEMORY
        ):
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def _read(store: Store, kind: type[Row], batch: list[_Part], done: Compacted) -> dict[str, pa.Table]:
    found = {}
    for part in batch if len(batch) > 1 else ():
        try:
            found[part.path] = read_part(store.fs, part.path, kind, None)
        except FileNotFoundError:  # another compaction was faster
            continue
        except (OSError, pa.ArrowException, UserError) as error:
            done.problems.append(f"{part.path}: {error}")
    return found


def _merge(store: Store, kind: type[Row], folder: str, parts: dict[str, pa.Table], dry_run: bool) -> int:
    """Put the newest rows of these parts into one, then remove them; returns how many rows are left out."""
    table = pa.concat_tables(parts.values())
    keys = pl.DataFrame(table.select([*kind.key_columns, WRITTEN_AT])).with_row_index("place")
    newest = keys.sort(WRITTEN_AT, maintain_order=True).unique(
        subset=list(kind.key_columns), keep="last", maintain_order=True
    )
    if not dry_run:
        merged = table.take(pa.array(newest["place"].to_numpy()))
        path = f"{folder}/{COMPACTED}{len(parts)}-{uuid.uuid4().hex[:12]}.parquet"
        write_part(store.fs, path, merged, lasting=True)
        with store.fs.open(path, "rb") as file:
            if pq.ParquetFile(file).metadata.num_rows != merged.num_rows:
                raise StoreError(f"{path} does not hold what was written, nothing was removed: the disk may be failing")
        for old in parts:
            with contextlib.suppress(FileNotFoundError):
                store.fs.rm_file(old)
    return table.num_rows - len(newest)
