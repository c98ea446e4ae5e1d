"""The importable Python files of a repository at a commit, read from git; nothing is checked out or run."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import git

from tasks.apis.cython import summarise_cython
from tasks.apis.models import ApisError
from tasks.apis.summary import Summary, summarise
from tasks.git_environment import open_repo

T = TypeVar("T")

MAX_FILE_BYTES = 4 << 20
_NOT_IMPORTED = {
    "tests", "test", "docs", "doc", "examples", "example", "benchmarks", "benchmark", "asv_bench", "bench", "scripts",
    "demos", "maint",
}  # fmt: skip
_NOT_A_MODULE = re.compile(r"(setup|conftest|noxfile|conf|test_.*|.*_test)\.py")
"""Folders and files from which no user imports. `tasks.code.paths` asks another question: it counts as code what a
change may be about, `scripts/` and `setup.py` too."""

MAX_REMEMBERED = 32 << 20
"""Bytes of source whose summaries are remembered: all of numpy takes half of it."""


class _Remembered:
    """What was read of blobs, by reader and blob: neighbouring commits share nearly all of their files. What was not
    asked for longest goes first. Threads may use it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> Any:
        """What was put under the key; None if there is nothing."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def put(self, key: tuple[str, str], value: Any, weight: int) -> None:
        """Remember it, and forget others until all together weigh no more than the limit."""
        with self._lock:
            self._weight += weight - self._held.pop(key, (None, 0))[1]
            self._held[key] = value, weight
            while self._weight > self._limit and self._held:
                self._weight -= self._held.popitem(last=False)[1][1]


_REMEMBERED = _Remembered(MAX_REMEMBERED)


@dataclass(frozen=True)
class ModuleFile:
    """A file and the name that it is imported by."""

    path: str
    oid: str
    module: str
    is_package: bool


def open_clone(path: Path) -> git.Repo:
    """The clone, deaf to the user's git configuration. Raises ApisError if there is none."""
    try:
        return open_repo(path)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
        raise ApisError(f"there is no clone at {path}: synchronise the repository first") from error


def list_files(repo: git.Repo, sha: str) -> dict[str, str]:
    """Path -> blob of every file at a commit. Raises ApisError if it cannot be read."""
    try:
        listing = str(repo.git.ls_tree("-r", "-z", "--full-tree", sha))
    except git.GitCommandError as error:
        raise ApisError(
            f"commit {sha} cannot be read: {str(error.stderr).strip()}; synchronise the repository"
        ) from error
    blobs: dict[str, str] = {}
    for entry in listing.split("\0"):
        head, _, path = entry.partition("\t")
        if head.startswith("100"):
            blobs[path] = head.split(" ")[2]
    return blobs


def list_modules(blobs: Mapping[str, str], suffix: str = ".py") -> list[ModuleFile]:
    """Modules among the files that somebody who installs the project can import; `.pyx` for those in Cython."""
    packages = {str(PurePosixPath(path).parent) for path in blobs if path.endswith(("__init__.py", "__init__.pyx"))}
    found = []
    for path, oid in blobs.items():
        plain = path.removesuffix(".in")
        if not plain.endswith(suffix):
            continue
        module = module_name(plain.removesuffix(suffix) + ".py", packages)
        if module:
            found.append(ModuleFile(path, oid, module, path.startswith("__init__.", path.rfind("/") + 1)))
    return found


def is_shipped(path: str) -> bool:
    """Whether a file is part of what is installed: no test, document, example or script."""
    pure = PurePosixPath(path)
    return not _NOT_IMPORTED.intersection(pure.parts[:-1]) and _NOT_A_MODULE.fullmatch(f"{pure.stem}.py") is None


def module_name(path: str, packages: set[str]) -> str | None:
    """Dotted name of a file, given the folders that hold an `__init__.py`; None for what is not imported.

    The top package is the outermost folder with an `__init__.py`. Under `src/`, folders without one are namespace
    packages. A file in no package is a module only at the root or under `src/` or `lib/`.
    """
    pure = PurePosixPath(path)
    if _NOT_A_MODULE.fullmatch(pure.name) or _NOT_IMPORTED.intersection(pure.parts[:-1]):
        return None
    folders = list(pure.parts[:-1])
    top = len(folders)
    while top > 0 and "/".join(folders[:top]) in packages:
        top -= 1
    if "src" in folders[:top]:
        top = folders.index("src") + 1
    elif top == len(folders) and folders not in ([], ["lib"], ["python"]):
        return None
    parts = folders[top:] + ([] if pure.name == "__init__.py" else [pure.stem])
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def read_summary(repo: git.Repo, oid: str, reader: Callable[[bytes], T], kind: str) -> T:
    """What the reader makes of a blob; of an empty one if it cannot be had or is too long. `kind` names the reader."""
    found: T | None = _REMEMBERED.get((kind, oid))
    if found is None:
        _, _, size, source = repo.git.stream_object_data(oid)
        data: bytes = source.read()
        found = reader(data if size <= MAX_FILE_BYTES else b"")
        _REMEMBERED.put((kind, oid), found, len(data))
    return found


def summary_of(repo: git.Repo, file: ModuleFile) -> Summary:
    """What the module defines and mentions. A file that cannot be read or parsed defines nothing."""
    if file.path.endswith(".py"):
        return read_summary(repo, file.oid, summarise, "python")
    return read_summary(repo, file.oid, summarise_cython, "cython")
