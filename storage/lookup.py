"""Where the rows of a key are: so that asking for one commit does not read the rows of all others.

A part never changes, so its values of a key column are read once per process. Without this, a stage that asks for each
of n commits would read n times all rows of n commits.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import pyarrow.parquet as pq

from storage.schema import VERSION_KEY
from storage.tables import Row

Place = tuple[str, int]
"""A part, and the row group in it; -1 is the whole part."""
WHOLE = -1


class Lookup:
    """Value of one key column -> the places that hold it, in one partition."""

    def __init__(self, fs: Any, kind: type[Row], column: str) -> None:
        self._fs, self._kind, self._column = fs, kind, column
        self._places: dict[Hashable, list[Place]] = {}
        self._unknown: set[str] = set()
        """Parts that say it in another way: of an older version, or written before the column was there."""
        self._parts: dict[str, set[Hashable]] = {}
        self._listed: Sequence[str] | None = None
        self._lock = threading.Lock()

    def places(self, parts: Sequence[str], values: Iterable[Hashable]) -> list[Place]:
        """Where rows with one of the values may be, in the order of parts. Raises OSError and ArrowException."""
        with self._lock:
            if parts is not self._listed:  # the usual case is that nothing was written since
                self._follow(parts)
                self._listed = parts
            found = {(path, WHOLE) for path in self._unknown}
            for value in values:
                found.update(self._places.get(value, ()))
        return sorted(found)

    def _follow(self, parts: Sequence[str]) -> None:
        for path in self._parts.keys() - set(parts):
            self._forget(path)
        for path in parts:
            if path not in self._parts:
                self._learn(path)

    def _learn(self, path: str) -> None:
        groups: list[set[Hashable]] = []
        with self._fs.open(path, "rb") as file:
            part = pq.ParquetFile(file)
            version = (part.schema_arrow.metadata or {}).get(VERSION_KEY)
            known = version == str(self._kind.schema_version).encode() and self._column in part.schema_arrow.names
            if known:
                for number in range(part.num_row_groups):
                    column = part.read_row_group(number, columns=[self._column], use_threads=False).column(0)
                    groups.append(set(column.unique().to_pylist()))
        if not known:
            self._unknown.add(path)
        for number, values in enumerate(groups):
            place = (path, number if len(groups) > 1 else WHOLE)
            for value in values:
                self._places.setdefault(value, []).append(place)
        self._parts[path] = set().union(*groups)

    def _forget(self, path: str) -> None:
        self._unknown.discard(path)
        for value in self._parts.pop(path):
            left = [place for place in self._places[value] if place[0] != path]
            if left:
                self._places[value] = left
            else:
                del self._places[value]
