"""Takes the project's own code out of an environment after an installation, and works out where arms have it."""

from __future__ import annotations

import configparser
import json
import os
import posixpath
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tasks.environments import strip_project
from tasks.environments.layout import Layout, is_inside, shadowing, work_out
from tasks.environments.runners import Ran, Runner

_TIMEOUT_S = 300
_MAX_BYTES = 64 << 20
_NAME = re.compile(r"^[^#\n]*\bname\s*=\s*['\"]([\w.-]+)['\"]", re.MULTILINE)


class TakenOut(BaseModel):
    """What the environment had of the project; its script says this, so it is held to be data."""

    files: dict[str, str]
    named: dict[str, str]
    roots: list[str]
    version: str


class NotTakenOut(Exception):
    """The project's code cannot be told from the rest of the environment; the message says why."""


def take_out(
    runner: Runner,
    folder: Path,
    wheel: str | None,
    names: Iterable[str],
    tracked: Mapping[str, str],
    paths: Iterable[str],
) -> tuple[Layout, str]:
    """The layout for arms and the project's version ("" if none was installed). Raises NotTakenOut.

    `folder` is the runner's build folder on this machine, `names` are names that the project's distribution may have,
    `tracked` are the commit's files, `paths` where arms import from if nothing is installed of the project.
    """
    tops, modules = _modules(tracked, paths)
    metadata = ["-".join(wheel.split("-")[:2]) + ".dist-info"] if wheel else []
    about = {"metadata": metadata, "names": list(names), "blobs": dict(tracked), "tops": tops, "modules": modules}
    build = runner.build
    try:
        _write(folder / "about.json", about)
        arguments = [f"{build}/{name}" for name in ("checkout", "taken", "about.json", "found.json")]
        _run(runner, "take", runner.environment, *arguments)
        found = TakenOut.model_validate_json(_read(folder / "found.json"))
    except (OSError, ValidationError) as error:
        raise NotTakenOut(str(error).splitlines()[0]) from error
    for path in (*found.files, *found.named.values(), *found.roots):
        if not is_inside(path):
            raise NotTakenOut(f"{path[:100]} leads out of the environment")
    folders = {posixpath.dirname(path) for path in tracked}
    folders |= {posixpath.dirname(folder) for folder in folders} | {""}
    layout = work_out(found.files, tracked, found.named, [root for root in found.roots if root in folders])
    if layout.conflict:
        raise NotTakenOut(layout.conflict)
    if compiled := shadowing(layout, tracked):
        layout = layout.model_copy(update={"shadowing": compiled})
    _write(folder / "kept.json", layout.generated)
    _run(runner, "keep", f"{build}/taken", f"{build}/generated", f"{build}/kept.json")
    return layout, found.version


def _run(runner: Runner, *arguments: str) -> Ran:
    # No path file of the environment and no variable decides what this runs.
    script = Path(strip_project.__file__).read_text()
    ran = runner.run([f"{runner.environment}/bin/python", "-I", "-S", "-c", script, *arguments], timeout_s=_TIMEOUT_S)
    if not ran.ok:
        raise NotTakenOut(ran.last_line)
    return ran


def _write(path: Path, content: object) -> None:
    # What was installed had this folder before us: nothing that it left under the name is written through.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "w") as file:
        json.dump(content, file)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path.name} is no file")
        return file.read(_MAX_BYTES)


def distribution_names(declared: Mapping[str, bytes], repo: str) -> list[str]:
    """Names that the project's distribution may have: what its files declare, and the repository's own."""
    found = [repo.rsplit("/", 1)[-1]]
    try:
        pyproject = tomllib.loads(declared.get("pyproject.toml", b"").decode(errors="replace"))
    except tomllib.TOMLDecodeError:
        pyproject = {}
    for table in (pyproject.get("project"), (pyproject.get("tool") or {}).get("poetry")):
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            found.append(table["name"])
    setup = configparser.RawConfigParser(strict=False)
    try:
        setup.read_string(declared.get("setup.cfg", b"").decode(errors="replace"))
        found.append(setup.get("metadata", "name", fallback=""))
    except configparser.Error:
        pass
    found += _NAME.findall(declared.get("setup.py", b"").decode(errors="replace"))[:1]
    return sorted({name for name in found if name})


def _modules(tracked: Mapping[str, str], paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Top-level names and dotted names of the modules that a checkout offers from these folders."""
    tops, modules = set(), set()
    for root in paths:
        inside = "" if root == "." else root.rstrip("/") + "/"
        for path in tracked:
            name = path[len(inside) :]
            if not path.startswith(inside) or not name.endswith(".py") or not _importable(name):
                continue
            if "/" in name and f"{inside}{name.split('/')[0]}/__init__.py" not in tracked:
                continue  # any folder could be a namespace
            tops.add(name.split("/")[0].removesuffix(".py"))
            modules.add(strip_project.module_of(name))
    return sorted(tops), sorted(modules)


def _importable(name: str) -> bool:
    return all(part.isidentifier() for part in name.removesuffix(".py").split("/"))
