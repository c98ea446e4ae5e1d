"""Sources of compiled modules: where arms are not built one by one, the modules are the base commit's, in every arm."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from tasks.environments.arms.compiling import BuildFailure
from tasks.sandbox import foreign

_NATIVE = re.compile(
    r".*\.(c|cc|cpp|cxx|h|hh|hpp|hxx|inc|pyx|pxd|pxi|pyx\.in|pxi\.in|rs|f|f77|f90|F90|cu|cuh|go|zig|src|S|asm)"
    r"|(.*/)?(CMakeLists\.txt|meson\.build|Cargo\.(toml|lock))"
)


def native_of(tracked: Mapping[str, str]) -> dict[str, str]:
    """Those files of a commit that compiled modules are made of -> git's id."""
    return {path: blob for path, blob in tracked.items() if _NATIVE.fullmatch(path)}


def native_content(checkout: Path) -> dict[str, str]:
    """Files of a checkout that compiled modules are made of -> hash of what they hold. Raises OSError."""
    found: dict[str, str] = {}
    for entry in foreign.walk(checkout):
        if entry.kind != "folder" and _NATIVE.fullmatch(entry.name):
            found[entry.name] = _hash(checkout, entry.name) if entry.kind == "file" else "not a file"
    return found


def _hash(checkout: Path, name: str) -> str:
    digest = hashlib.sha256()
    with foreign.opened(checkout, name) as file:
        while chunk := file.read(foreign.MEBIBYTE):
            digest.update(chunk)
    return digest.hexdigest()


def refuse_changes(base: Mapping[str, str], arm: Mapping[str, str]) -> None:
    """Raise BuildFailure if an arm's sources differ from those that its compiled modules would be made of."""
    changed = sorted(path for path in {*base, *arm} if base.get(path) != arm.get(path))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise BuildFailure(
            f"{foreign.shown(changed[0])}{more} differs from the base commit's, whose compiled modules every arm "
            "would run: `environment.build: always` builds each arm"
        )
