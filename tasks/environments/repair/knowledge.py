"""What a commit's files tell before anything is built: its folder, its Pythons, its tests, its submodules."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from tasks.environments.builds.identity import DECLARING
from tasks.environments.projects.finding import MANIFEST, project_folder
from tasks.environments.projects.requirements import REQUIREMENT_FILES, declared_for_tests, has_tests
from tasks.environments.pythons.choosing import Choice, choices
from tasks.environments.pythons.evidence import SPEAKING, Evidence, evidence_of
from tasks.environments.trees import read_files, tracked_files

_WANTED = re.compile("|".join(f"({found.pattern})" for found in (MANIFEST, DECLARING, SPEAKING, REQUIREMENT_FILES)))
_SUBMODULE = re.compile(r"^\s*path\s*=\s*(\S+)\s*$", re.MULTILINE)
_CONDA_ONLY = re.compile(r"(.{0,200}/)?(environment[^/]*|meta)\.ya?ml")
_NAME = re.compile(r"""['"\s-]([A-Za-z][\w.-]{1,60})(?=\s*(?:\[|[<>=!~;,'"]|$))""", re.MULTILINE)
_MOST_NAMES = 2000


@dataclass(frozen=True)
class Known:
    """Of one commit."""

    folder: str
    evidence: list[Evidence]
    choices: list[Choice]
    test_packages: list[str]
    names: frozenset[str]
    """Names in the files that declare: nothing else is installed because an error names it."""
    modules: frozenset[str]
    """Names of the repository's own modules and packages."""
    submodules: list[str]
    conda: str
    """A file that describes a conda environment, if nothing can be installed otherwise; else empty."""


def known_of(clone: Path, sha: str, repo: str, project: str, date: datetime | None) -> Known:
    """Read it from the clone. Raises TreeError."""
    files = read_files(clone, sha, _WANTED)
    tracked = tracked_files(clone, sha)
    folder = project_folder(files, tracked, repo) if project == "auto" else project
    evidence = evidence_of(files, folder)
    modules = _modules(tracked)
    installable = any(MANIFEST.fullmatch(name) for name in files)
    return Known(
        folder=folder,
        evidence=evidence,
        choices=choices(evidence, date),
        test_packages=declared_for_tests(files, folder, date) if has_tests(tracked) else [],
        names=_names(files, folder) - modules,
        modules=modules,
        submodules=_SUBMODULE.findall(files.get(".gitmodules", b"").decode(errors="replace")),
        conda="" if installable else next((name for name in files if _CONDA_ONLY.fullmatch(name)), ""),
    )


def _modules(tracked: Iterable[str]) -> frozenset[str]:
    """Names of the repository's own folders and modules: what an index has under such a name is another's."""
    parts = {part for path in tracked if path.endswith(".py") for part in path.removesuffix(".py").split("/")}
    return frozenset(parts | {part.replace("_", "-") for part in parts})


def _names(files: Mapping[str, bytes], folder: str) -> frozenset[str]:
    found: set[str] = set()
    for name, content in files.items():
        above = posixpath.dirname(name)
        if name.endswith((".yml", ".yaml", ".gitmodules")) or (MANIFEST.fullmatch(name) and above not in ("", folder)):
            continue
        for line in content.decode(errors="replace").splitlines():
            found.update(_NAME.findall(f" {line}"))
        if len(found) > _MOST_NAMES:
            break
    return frozenset(filter(_is_requirement, found))


def _is_requirement(name: str) -> bool:
    try:
        Requirement(name)
    except InvalidRequirement:
        return False
    return True
