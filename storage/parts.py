"""One Parquet part: written whole or not at all, read and brought to the current schema, remembered in memory.

Parts never change, so what was read once is kept for the next reader, up to a limit: stages ask for one commit at a
time, and each question would else decode all patches again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.schema import VERSION_KEY, conform
from storage.tables import Row

CACHE_BYTES = 96 * 2**20
GROUP_BYTES = 4 * 2**20
"""Of a row group in memory: what is read to find one row of a large part."""
MIN_GROUP_ROWS = 64
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az"})
pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own pool keeps tens of MiB that were given back


def write_part(fs: Any, path: str, table: pa.Table, lasting: bool = False) -> None:
    """Write so that the part appears whole or not at all. Raises OSError; leaves no rubbish behind.

    Object stores show nothing until all is there; elsewhere it is written under a temporary name (hidden, and not
    `*.parquet`) and renamed, and after a kill that file may stay, which no reader looks at. `lasting`: a local part is
    on the disk, also after a loss of power, when this returns.
    """
    folder, _, name = path.rpartition("/")
    if puts_whole(fs):
        buffer = pa.BufferOutputStream()
        _write(table, buffer)
        fs.pipe_file(path, buffer.getvalue().to_pybytes())
        return
    temporary = f"{folder}/.{name}.tmp"
    try:
        fs.makedirs(folder, exist_ok=True)
        with fs.open(temporary, "wb") as file:
            _write(table, file)
            if lasting and is_local(fs):
                file.flush()
                os.fsync(file.fileno())
        fs.mv(temporary, path)
        if lasting and is_local(fs):
            _sync_folder(folder)
    except BaseException:
        # also after Ctrl-C; the first error is the one to report
        with contextlib.suppress(OSError):
            if fs.exists(temporary):
                fs.rm(temporary)
        raise


def _write(table: pa.Table, file: Any) -> None:
    per_group = max(MIN_GROUP_ROWS, GROUP_BYTES * table.num_rows // max(table.nbytes, 1))
    pq.write_table(table, file, compression="zstd", row_group_size=per_group)


def puts_whole(fs: Any) -> bool:
    """Whether a file appears there whole or not at all, without being renamed (which would copy it)."""
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return bool(OBJECT_STORES.intersection(protocols))


def is_local(fs: Any) -> bool:
    """Whether its files are this machine's."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_part(
    fs: Any, path: str, kind: type[Row], columns: tuple[str, ...] | None, group: int | None = None
) -> pa.Table:
    """The part in the current schema of its row type, all columns or the ones asked for, in the schema's order.

    `group`: only that row group. Raises OSError and ArrowInvalid for a part that cannot be read, SchemaError for one
    that does not fit.
    """
    key = (fs, path, kind, columns, group)
    known = _cache.get(key)
    if known is not None:
        return known
    with fs.open(path, "rb") as file:
        part = pq.ParquetFile(file)
        # an older version may have the columns under other names: its migration wants all of them
        current = (part.schema_arrow.metadata or {}).get(VERSION_KEY) == str(kind.schema_version).encode()
        wanted = [name for name in columns if name in part.schema_arrow.names] if columns and current else None
        if group is None:
            found = part.read(columns=wanted, use_threads=False)
        else:
            found = part.read_row_group(group, columns=wanted, use_threads=False)
    table = conform(found, kind, path, columns)
    _cache.put(key, table)
    return table


def forget() -> None:
    """Read everything anew, for callers that suspect the disk."""
    _cache.clear()


class _Cache:
    """Least recently used tables, bounded by their bytes; shared by all stores of the process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._tables: OrderedDict[Any, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> pa.Table | None:
        with self._lock:
            table = self._tables.get(key)
            if table is not None:
                self._tables.move_to_end(key)
            return table

    def clear(self) -> None:
        with self._lock:
            self._tables.clear()
            self._size = 0

    def put(self, key: Any, table: pa.Table) -> None:
        with self._lock:
            if key in self._tables or table.nbytes > self._limit // 2:
                return
            self._tables[key] = table
            self._size += table.nbytes
            while self._size > self._limit:
                _, oldest = self._tables.popitem(last=False)
                self._size -= oldest.nbytes


_cache = _Cache(CACHE_BYTES)
