"""What may go from a store's caches: results that no run asked for in a long time, and folders that no result names.

Everything here is made again when something needs it, so a mistake costs time. What is dear stays: answers of models,
attempts of agents and their installations, clones of repositories that the store has rows of.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.store import Store
from storage.tables import Commit, Instance
from tasks.code.clones import clone_path
from tasks.sandbox.foreign_folders import remove

DAY_S = 24 * 3600.0
LARGEST = 2**20
"""Bytes of a result that are read for the folders that it names."""
_NAMED = re.compile(rb"(?:checkouts|environments)/[\w-]+")
_TEMPORARY = re.compile(r"\.[\w-]+-[0-9a-f]{8}|\.pruned-[0-9a-f]+|units-\d+")
"""How folders are named that are being made, and that are being removed."""
_BESIDE = re.compile(r"\.?(\w+)\.(?:note|lock|failed\.log)")
"""Files beside a folder, which go when it is gone."""


@dataclass(frozen=True)
class Prunable:
    """A file or folder that may go, and why."""

    path: Path
    why: str


def prunable(store: Store, days: float = 60) -> Iterator[Prunable]:
    """Of this user's caches of a local store.

    A result is old when no run wrote or read it for `days`. A checkout or environment is named by a result that is not
    old, or younger than a day: then it stays. Raises NotOurs for caches of another user, StoreError for rows that
    cannot be read.
    """
    work = store.work
    cache = work.parent
    named: set[bytes] = set()
    for entry in os.scandir(cache) if store.is_local else ():
        if entry.is_file(follow_symlinks=False):
            if _age_s(entry) > days * DAY_S:
                yield Prunable(Path(entry.path), f"a result that no run asked for in {days:g} days")
            elif entry.name.startswith(".") and entry.name.endswith(".tmp") and _age_s(entry) > DAY_S:
                yield Prunable(Path(entry.path), "left by a run that was killed")
            else:
                named.update(_names(Path(entry.path)))
    for kind in ("checkouts", "environments") if store.is_local else ():
        for entry in _entries(work / kind):
            if _age_s(entry) > DAY_S and (why := _why(entry, kind, named)):
                yield Prunable(Path(entry.path), why)
    for entry in _entries(work):
        if _TEMPORARY.fullmatch(entry.name) and _age_s(entry) > DAY_S:
            yield Prunable(Path(entry.path), "left by a run that was killed")
    yield from _clones(store, work, days)


def prune(item: Prunable) -> None:
    """Remove it. A folder is first renamed: after a kill nobody takes half of it for the whole."""
    aside = item.path.with_name(f".pruned-{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(item.path, aside)
        remove(aside)


def _why(entry: os.DirEntry[str], kind: str, named: set[bytes]) -> str:
    if entry.is_dir(follow_symlinks=False):
        if _TEMPORARY.fullmatch(entry.name):
            return "left by a run that was killed"
        if entry.name.startswith("."):
            return ""
        return "" if f"{kind}/{entry.name}".encode() in named else "no result names it"
    beside = _BESIDE.fullmatch(entry.name)
    folder = Path(entry.path).parent / beside[1] if beside else None
    if folder is None or folder.exists() or f"{kind}/{folder.name}".encode() in named:
        return ""
    return "what it speaks of is gone"


def _clones(store: Store, work: Path, days: float) -> Iterator[Prunable]:
    """Clones of repositories that no commit and no instance of the store is from."""
    repos = {repo for kind in (Commit, Instance) for repo in store.frame(kind, columns=("repo",))["repo"].unique()}
    kept = {Path(clone_path(repo)).name for repo in repos}
    for entry in _entries(work / "clones"):
        if entry.name.endswith(".git") and entry.name not in kept and _age_s(entry) > days * DAY_S:
            yield Prunable(Path(entry.path), "no row of the store is from it")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _age_s(entry: os.DirEntry[str]) -> float:
    """Since it was made, moved here or written; a checkout's own times say nothing, they are the same for all."""
    found = entry.stat(follow_symlinks=False)
    return time.time() - (max(found.st_mtime, found.st_ctime) if entry.is_dir() else found.st_mtime)


def _names(path: Path) -> set[bytes]:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return set(_NAMED.findall(file.read(LARGEST)))
    return set()
