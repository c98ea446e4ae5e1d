"""One Parquet part: written whole or not at all, read and brought to the current schema, remembered in memory.

Parts never change, so what was read once is kept for the next reader, up to a limit: stages ask for one commit at a
time, and each question would else decode all patches again.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.schema import VERSION_KEY, conform
from storage.tables import Row

CACHE_BYTES = 96 * 2**20
pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own pool keeps tens of MiB that were given back


def write_part(fs: Any, path: str, table: pa.Table) -> None:
    """Write under a temporary name (hidden, and not `*.parquet`) and rename. Raises OSError; leaves no rubbish behind.

    After a kill the temporary file may stay; no reader looks at it.
    """
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.tmp"
    try:
        fs.makedirs(folder, exist_ok=True)
        with fs.open(temporary, "wb") as file:
            pq.write_table(table, file, compression="zstd")
        fs.mv(temporary, path)
    except BaseException:
        # also after Ctrl-C; the first error is the one to report
        with contextlib.suppress(OSError):
            if fs.exists(temporary):
                fs.rm(temporary)
        raise


def read_part(fs: Any, path: str, kind: type[Row], columns: tuple[str, ...] | None) -> pa.Table:
    """The part in the current schema of its row type, all columns or the ones asked for, in the schema's order.

    Raises OSError and ArrowInvalid for a part that cannot be read, SchemaError for one that does not fit.
    """
    key = (fs, path, kind, columns)
    known = _cache.get(key)
    if known is not None:
        return known
    with fs.open(path, "rb") as file:
        part = pq.ParquetFile(file)
        # an older version may have the columns under other names: its migration wants all of them
        current = (part.schema_arrow.metadata or {}).get(VERSION_KEY) == str(kind.schema_version).encode()
        wanted = [name for name in columns if name in part.schema_arrow.names] if columns and current else None
        table = conform(part.read(columns=wanted, use_threads=False), kind, path, columns)
    _cache.put(key, table)
    return table


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
