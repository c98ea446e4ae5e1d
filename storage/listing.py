"""Which parts there are: seen whole even while others compact, and not asked for again while a folder is unchanged.

A compaction writes a part that holds what several others hold, and only then removes those. A folder is read entry by
entry, so a reader could miss both: the new part, which came too late, and the old ones, which are gone. A moment later
the new part is seen. So a folder is read until two readings find the same compacted parts.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import Any

COMPACTED = "compact-"
"""How the names of parts begin that a compaction wrote."""
SETTLED_NS = 2 * 10**9
"""A folder that changed less than this ago may change again without a new time: clocks of file systems tick slowly."""


@dataclass(frozen=True)
class _Seen:
    mark: tuple[int, int, int]
    paths: tuple[str, ...]


class Listing:
    """The partitions and parts of one store."""

    def __init__(self, fs: Any, root: str, is_local: bool) -> None:
        self._fs, self._root, self._is_local = fs, root, is_local
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    def folders(self, table: str) -> tuple[str, ...]:
        """Paths of a table's partitions, `<root>/<table>/repo=<owner__name>`, in order."""
        return self._paths(f"{self._root}/{table}", of_folders=True)

    def parts(self, folder: str) -> tuple[str, ...]:
        """Paths of a partition's parts, in order. They may be gone by the time they are read: then list again.

        The same object as before, where a local folder did not change. Raises OSError.
        """
        paths = self._paths(folder)
        while True:
            again = self._paths(folder)
            if again is paths or _compacted(again) == _compacted(paths):
                return again
            paths = again

    def _paths(self, folder: str, of_folders: bool = False) -> tuple[str, ...]:
        if not self._is_local:
            return self._remote(folder, of_folders)
        try:
            found = os.stat(folder)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        mark = (found.st_dev, found.st_ino, found.st_mtime_ns)
        with self._lock:
            known = self._seen.get(folder)
        if known is not None and known.mark == mark:
            return known.paths
        settled = time.time_ns() - found.st_mtime_ns > SETTLED_NS
        paths = _local(folder, of_folders)
        if settled:
            with self._lock:
                self._seen[folder] = _Seen(mark, paths)
        return paths

    def _remote(self, folder: str, of_folders: bool) -> tuple[str, ...]:
        self._fs.invalidate_cache(folder)  # what other processes wrote is not in it
        try:
            found = self._fs.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        wanted = "directory" if of_folders else "file"
        names = (entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == wanted)
        return tuple(f"{folder}/{name}" for name in sorted(names) if _is_ours(name, of_folders))


def _local(folder: str, of_folders: bool) -> tuple[str, ...]:
    try:
        with os.scandir(folder) as entries:
            # of a store from elsewhere: reading a pipe would never end
            names = [
                entry.name
                for entry in entries
                if _is_ours(entry.name, of_folders) and (entry.is_dir() if of_folders else entry.is_file())
            ]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(f"{folder}/{name}" for name in sorted(names))


def _is_ours(name: str, of_folders: bool) -> bool:
    return name.startswith("repo=") if of_folders else name.endswith(".parquet") and not name.startswith(".")


def _compacted(paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if path.rpartition("/")[2].startswith(COMPACTED)]
