"""The folder of a repository that holds the project: the top, or a sub-folder where several packages share one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from tasks.code.paths import is_benchmark_path, is_docs_path, is_test_path
from tasks.environments.pythons.evidence import parsed_toml, table

_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
MANIFEST = re.compile(r"(.{0,200}/)?(pyproject\.toml|setup\.(py|cfg))")
"""Files that make a folder installable, at any depth that people use."""
_DEPTH = 3


def project_folder(files: Mapping[str, bytes], tracked: Iterable[str], repo: str) -> str:
    """`.` if the top can be installed or nothing can be, else the sub-folder that is most likely meant.

    That is the one named like the repository or `python`, and of those the one with most Python files.
    """
    folders = {posixpath.dirname(name) for name in files if MANIFEST.fullmatch(name)}
    if _is_installable(files, ""):
        return "."
    found = [
        folder
        for folder in sorted(folders)
        if folder and folder.count("/") < _DEPTH and _is_installable(files, folder) and not _is_aside(folder)
    ]
    if not found:
        return "."
    wanted = _plain(repo.rsplit("/", 1)[-1])
    count = {
        folder: sum(path.startswith(folder + "/") and path.endswith(".py") for path in tracked) for folder in found
    }

    def rank(folder: str) -> tuple[bool, int, int]:
        last = _plain(posixpath.basename(folder))
        return (last in (wanted, "python", "py", "python3", f"py{wanted}"), count[folder], -folder.count("/"))

    return max(found, key=rank)


def _is_installable(files: Mapping[str, bytes], folder: str) -> bool:
    inside = f"{folder}/" if folder else ""
    if inside + "setup.py" in files:
        return True
    tables = parsed_toml(files.get(inside + "pyproject.toml", b"").decode(errors="replace"))
    if tables.get("project") or tables.get("build-system") or table(tables, "tool", "poetry"):
        return True
    return b"[metadata]" in files.get(inside + "setup.cfg", b"")


def _is_aside(folder: str) -> bool:
    """Whether it is a test's, an example's or documentation's own project."""
    inside = f"{folder}/x.py"
    return is_test_path(inside) or is_benchmark_path(inside) or is_docs_path(inside) or "example" in folder


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(".", "")
