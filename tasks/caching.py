"""Cache keys made of content: what went in, and the code of the stage that turns it into what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from storage.ids import content_hash

_TASKS = Path(__file__).parent
_SERVICES = ("sandbox", "llm")
_FORM = frozenset({"caching.py", "decorators.py", "progress.py"})
"""How results are kept, tried again and waited for: no result follows from these."""
_IMPORT = re.compile(
    r"^[ \t]*(?:from (tasks(?:\.\w+)*) import (\([^)]*\)|[^\n#]*)|import (tasks\.[\w.]+))", re.MULTILINE
)


@lru_cache
def code_version(package: str) -> str:
    """Hash of a package's source files and of what these use of `tasks/code` and of the modules beside the packages.

    12 hex digits. A comment in a module that a stage does not use changes none of its keys.
    """
    digest = sha256()
    for name, text in sorted(_sources(package).items()):
        digest.update(name.encode() + b"\0" + text.encode() + b"\0")
    return digest.hexdigest()[:12]


def _sources(package: str) -> dict[str, str]:
    """Path below `tasks` -> text, of all that decides what a package's code does; services are asked for by name."""
    found: dict[str, str] = {}
    open_ = [path.relative_to(_TASKS).as_posix() for path in (_TASKS / package).rglob("*.py")]
    while open_:
        name = open_.pop()
        if name not in found:
            found[name] = (_TASKS / name).read_text(encoding="utf-8")
            open_ += [used for used in _used(found[name]) if used not in found]
    return found


def _used(text: str) -> Iterator[str]:
    """Files that a source imports of those that packages share."""
    for module, names, plain in _IMPORT.findall(text):
        for name in [plain] if plain else [f"{module}.{each}" for each in re.findall(r"\w+", names)]:
            parts = name.split(".")[1:]
            file = "/".join(parts[: 2 if parts[0] == "code" else 1]) + ".py"
            if file not in _FORM and (_TASKS / file).is_file():
                yield file


def cache_key(package: str, task: str, *content: Any, services: tuple[str, ...] = ()) -> str:
    """Key of one task run: never of paths, times or run ids.

    `content` is anything that `storage.ids.content_hash` takes; `services` names the service packages whose code
    decides the result too (`sandbox`, `llm`).
    """
    unknown = set(services) - set(_SERVICES)
    if unknown:
        raise ValueError(f"not a service package: {sorted(unknown)}")
    versions = [code_version(name) for name in (package, *services)]
    return f"{package}.{task}-{content_hash(versions, *content, length=32)}"
