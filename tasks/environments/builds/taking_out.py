"""Takes the project's own code out of an environment after an installation, and works out where arms have it."""

from __future__ import annotations

import configparser
import json
import posixpath
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tasks.environments.arms.layout import Layout, is_inside, shadowing, work_out
from tasks.environments.builds.runners import Place, Runner
from tasks.environments.inside import strip_project
from tasks.sandbox import foreign
from tasks.sandbox.models import SandboxError

_TIMEOUT_S = 300
_MAX_BYTES = 16 * foreign.MEBIBYTE
_MAX_FILES = 100_000
_WORDS = 30_000
"""Characters of all that becomes arguments; a system refuses to start a command with too many."""
_VERSION = re.compile(r"[\w.!+-]{0,100}", re.ASCII)
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
    place: Place,
    wheel: str | None,
    names: Iterable[str],
    tracked: Mapping[str, str],
    paths: Iterable[str],
) -> tuple[Layout, str]:
    """The layout for arms and the project's version ("" if none was installed). Raises NotTakenOut, SandboxError.

    `place` has the runner's folders on this machine, `names` are names that the project's distribution may have,
    `tracked` are the commit's files, `paths` where arms import from if nothing is installed of the project.
    """
    tops, modules = _modules(tracked, paths)
    metadata = ["-".join(wheel.split("-")[:2]) + ".dist-info"] if wheel else []
    about = {"metadata": metadata, "names": list(names), "blobs": dict(tracked), "tops": tops, "modules": modules}
    build, tools = runner.build, runner.tools
    # what the steps are told goes through the folder that no stranger writes to
    _tell(place, "about.json", about)
    _run(runner, "take", runner.environment, f"{build}/checkout", f"{build}/taken", f"{tools}/about.json",
         f"{build}/found.json")  # fmt: skip
    found = _found(place)
    folders = {posixpath.dirname(path) for path in tracked}
    folders |= {posixpath.dirname(folder) for folder in folders} | {""}
    layout = work_out(found.files, tracked, found.named, [root for root in found.roots if root in folders])
    if layout.conflict:
        raise NotTakenOut(layout.conflict)
    if sum(map(len, (*layout.imports, *layout.roots))) > _WORDS:
        raise NotTakenOut("it installs too many top-level names")
    if compiled := shadowing(layout, tracked):
        layout = layout.model_copy(update={"shadowing": compiled})
    _tell(place, "kept.json", layout.generated)
    _run(runner, "keep", f"{build}/taken", f"{build}/generated", f"{tools}/kept.json")
    return layout, found.version


def _run(runner: Runner, *arguments: str) -> None:
    # No path file of the environment and no variable decides what this runs.
    script = Path(strip_project.__file__).read_text()
    ran = runner.run([f"{runner.environment}/bin/python", "-I", "-S", "-c", script, *arguments], timeout_s=_TIMEOUT_S)
    if not ran.ok:
        raise NotTakenOut(ran.last_line[:300])


def _tell(place: Place, name: str, content: object) -> None:
    try:
        foreign.write(place.tools, name, json.dumps(content).encode())
    except OSError as error:
        raise SandboxError(f"the environment cannot be written: {error}") from error


def _found(place: Place) -> TakenOut:
    """What the script says; what was installed may have said it in its place."""
    try:
        found = TakenOut.model_validate_json(foreign.read(place.build, "found.json", _MAX_BYTES))
    except ValidationError as error:
        raise NotTakenOut(f"what is installed of it is not told: {error.errors()[0]['msg'][:200]}") from error
    except OSError as error:
        raise NotTakenOut(f"what is installed of it is not told: {error}") from error
    if len(found.files) + len(found.named) + len(found.roots) > _MAX_FILES:
        raise NotTakenOut(f"it has more than {_MAX_FILES} files")
    for path in (*found.files, *found.named, *found.named.values(), *found.roots):
        if not is_inside(path) or path.count("/") >= foreign.MAX_DEPTH or len(path) > foreign.MAX_PATH_BYTES:
            raise NotTakenOut(f"{foreign.shown(path)} leads out of the environment, or is too long a name")
    return found if _VERSION.fullmatch(found.version) else found.model_copy(update={"version": ""})


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
