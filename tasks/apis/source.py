"""The importable Python files of a repository at a commit, read from git; nothing is checked out or run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import git

from tasks.apis.cython import summarise_cython
from tasks.apis.models import ApisError
from tasks.apis.summary import Summary, summarise

T = TypeVar("T")

MAX_FILE_BYTES = 4 << 20
_NOT_IMPORTED = {
    "tests", "test", "docs", "doc", "examples", "example", "benchmarks", "benchmark", "asv_bench", "bench", "scripts",
    "demos", "maint",
}  # fmt: skip
_NOT_A_MODULE = re.compile(r"(setup|conftest|noxfile|conf|test_.*|.*_test)\.py")

MAX_REMEMBERED = 3000
_REMEMBERED: dict[tuple[str, str], Any] = {}
"""By reader and blob: neighbouring commits share nearly all of their files."""


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
        repo = git.Repo(path)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
        raise ApisError(f"there is no clone at {path}: synchronise the repository first") from error
    repo.git.update_environment(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull, LC_ALL="C")
    return repo


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
    key = (kind, oid)
    if key not in _REMEMBERED:
        _, _, size, source = repo.git.stream_object_data(oid)
        data: bytes = source.read()
        _REMEMBERED[key] = reader(data if size <= MAX_FILE_BYTES else b"")
        if len(_REMEMBERED) > MAX_REMEMBERED:
            _REMEMBERED.pop(next(iter(_REMEMBERED)))
    found: T = _REMEMBERED[key]
    return found


def summary_of(repo: git.Repo, file: ModuleFile) -> Summary:
    """What the module defines and mentions. A file that cannot be read or parsed defines nothing."""
    if file.path.endswith(".py"):
        return read_summary(repo, file.oid, summarise, "python")
    return read_summary(repo, file.oid, summarise_cython, "cython")
