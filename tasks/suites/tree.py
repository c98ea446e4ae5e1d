"""What tests are run on: an arm's code, with the suite's tests, conftest files, settings and data for its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tasks.code.paths import is_test_module, is_test_path
from tasks.sandbox import foreign
from tasks.sandbox.foreign import MEBIBYTE, Budget

BESIDE = frozenset(
    {"testdata", "test_data", "test-data", "fixtures", "benchmarks", "doc", "docs", "example", "examples", "samples"}
)
"""Folders at the top of a checkout that tests read from, and that are not what a project is imported for."""
SETTINGS = frozenset(
    {"pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml", "conftest.py", ".coveragerc"}
)
"""Files that say how tests are run, wherever they lie."""
SITE = frozenset({"sitecustomize.py", "usercustomize.py"})
MAX_TREE_BYTES = 4096 * MEBIBYTE


def is_of_suite(path: str) -> bool:
    """Whether a path is the suite's and not the project's code: then no patch can change it."""
    parts = PurePosixPath(path).parts
    return is_test_path(path) or is_test_path(f"{path}/x") or parts[0] in BESIDE or parts[-1] in SETTINGS


def make_tree(arm: Path, suite: Path, target: Path) -> None:
    """Copy into a new folder: of the checkout `suite` what is the suite's, of `arm` all else. Raises OSError.

    What stands in the way of the suite's files (a link where a folder of tests was) is left out.
    """
    target.mkdir(parents=True)
    budget = Budget(MAX_TREE_BYTES)
    _copy_chosen(suite, target, budget, of_suite=True)
    _copy_chosen(arm, target, budget, of_suite=False)


def _copy_chosen(source: Path, target: Path, budget: Budget, of_suite: bool) -> None:
    for entry in foreign.walk(source, enter=lambda name: PurePosixPath(name).name not in (".git", "__pycache__")):
        if is_of_suite(entry.name) != of_suite or PurePosixPath(entry.name).name in SITE:
            continue
        with contextlib.suppress(FileExistsError):
            if entry.kind == "file":
                _copy_file(source, target, entry.name, budget, forgiving=not of_suite)
            elif entry.kind == "link" and (to := _target_of(source, entry.name)):
                foreign.link(target, entry.name, to)


def _copy_file(source: Path, target: Path, name: str, budget: Budget, forgiving: bool) -> None:
    try:
        foreign.copy(source, name, target, name, budget)
    except OSError as error:
        if not forgiving or foreign.is_host_fault(error) or isinstance(error, foreign.Refused):
            raise
        # the arm has a file or a link where the suite has a folder, or the other way round


def _target_of(source: Path, name: str) -> str:
    """Where a link leads if it stays in the checkout; links that leave it are left out."""
    path = source / name
    to = os.readlink(path)
    return "" if os.path.isabs(to) or foreign.inside(source, name) is None else to


def test_files(checkout: Path) -> Iterator[str]:
    """Paths of the test files of a checkout."""
    skipped = {"node_modules", "build", "dist", "site-packages", ".git", "__pycache__", "vendor", "_vendor"}
    for name in foreign.files(checkout, enter=lambda folder: PurePosixPath(folder).name not in skipped):
        if is_test_module(name):
            yield name


def added_modules(arm: Path, suite: Path, import_paths: tuple[str, ...]) -> list[str]:
    """Top-level modules that an arm can import and the suite's commit cannot: new names, which may hide installed
    ones."""
    mine, known = ({name for path in import_paths for name in _modules(checkout, path)} for checkout in (arm, suite))
    return sorted(mine - known)


def _modules(checkout: Path, under: str) -> Iterator[str]:
    for name in foreign.names(checkout, under):
        stem, _, rest = name.partition(".")
        if stem.isidentifier() and rest.split(".")[-1] in ("", "py", "so", "pyc"):
            yield stem
