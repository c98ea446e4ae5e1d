"""Whether an arm's code can be imported at all, asked inside the sandbox."""

from __future__ import annotations

import json
from pathlib import Path

from configs.models import SandboxConfig
from tasks.sandbox import foreign, limits_of, open_sandbox
from tasks.sandbox.models import ARM_DIR, Arm

_NOT_THE_PROJECT = {
    "tests",
    "test",
    "docs",
    "doc",
    "examples",
    "example",
    "benchmarks",
    "scripts",
    "tools",
    "setup",
    "conftest",
}
"""Importable names that may lie beside a project's package: of modules, where `tasks.code.paths` judges files."""
_TIMEOUT_S = 180
_WORDS = 30_000
# What an import runs may change the import path, so what it has loaded is looked at as well.
_IMPORT = """
import importlib, json, os, sys
name, arm, tops = sys.argv[1], os.path.realpath(sys.argv[2]) + os.sep, set(json.loads(sys.argv[3]))
importlib.import_module(name)
for loaded, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if loaded.split(".")[0] in tops and isinstance(file, str) and not os.path.realpath(file).startswith(arm):
        raise SystemExit(f"{loaded} is loaded from {file}, not from the checkout")
"""


def failing_import(arm: Arm, imports: list[str], repo: str, sandbox: SandboxConfig, work: Path) -> str | None:
    """The last line of the traceback of importing the project's main package, or None if it imports."""
    name = main_package(work / arm.checkout, arm.import_paths, imports, repo)
    if name is None:
        return None
    tops = project_names(work / arm.checkout, arm.import_paths, imports)
    argv = ["-c", _IMPORT, name, ARM_DIR, json.dumps(sorted({name, *tops}))]
    command = arm.command(work, argv, limits=limits_of(sandbox, _TIMEOUT_S))
    with open_sandbox(sandbox) as opened:
        done = opened.run(command)
    if done.returncode == 0:
        return None
    if done.timed_out:
        return f"import {name} takes longer than {_TIMEOUT_S} s"
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else f"import {name} ends with exit code {done.returncode}"


def main_package(checkout: Path, import_paths: tuple[str, ...], imports: list[str], repo: str) -> str | None:
    """What to import: the installed name most like the repository's, else a package of the checkout; None if unsure."""
    found = imports or _packages(checkout, import_paths)
    names = [name for name in found if name.isidentifier() and name not in _NOT_THE_PROJECT]
    names = [name for name in names if not name.startswith("_")] or names
    wanted = _plain(repo.rsplit("/", 1)[-1])
    alike = [name for name in names if _plain(name) == wanted] or [name for name in names if _plain(name) in wanted]
    if alike:
        return max(alike, key=len)
    return names[0] if len(names) == 1 else None


def project_names(checkout: Path, import_paths: tuple[str, ...], imports: list[str]) -> list[str]:
    """Top-level names that are the project's: what it installs, else what the checkout offers to import.

    None if those are more than a command's arguments hold.
    """
    if imports:
        return imports
    found = set(_packages(checkout, import_paths))
    for path in import_paths:
        modules = [name.removesuffix(".py") for name in foreign.names(checkout, path) if name.endswith(".py")]
        found |= {name for name in modules if name.isidentifier()}
    names = sorted(found - _NOT_THE_PROJECT)
    return names if sum(map(len, names)) < _WORDS else []


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(".", "")


def _packages(checkout: Path, import_paths: tuple[str, ...]) -> list[str]:
    return [
        name
        for path in import_paths
        for name in foreign.names(checkout, path)
        if foreign.is_file(checkout, f"{path}/{name}/__init__.py")
    ]
