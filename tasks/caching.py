"""Cache keys made of content: what went in, and the code of the stage that turns it into what comes out."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from storage.ids import content_hash

_TASKS = Path(__file__).parent
_SERVICES = ("sandbox", "llm")


@lru_cache
def code_version(package: str) -> str:
    """Hash of a stage package's source files and of the modules that stages share, e.g. `code_version("mining")`.

    12 hex digits.
    """
    digest = sha256()
    for path in sorted([*(_TASKS / package).rglob("*.py"), *_TASKS.glob("*.py"), *(_TASKS / "code").rglob("*.py")]):
        digest.update(path.relative_to(_TASKS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


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
