"""Which Python an environment is built on: the running one where its version fits, else what uv or pyenv has."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def local_python(wanted: str) -> str:
    """A path, or `wanted` itself (then uv looks further, and may download one where it can).

    A version fits if all the parts that it gives agree: `3.11` fits 3.11.7.
    """
    if _fits(wanted, platform.python_version()) and sys.implementation.name == "cpython":
        return os.path.join(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    # pyenv's versions are no programs on the path unless they are switched on.
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [folder for folder in versions.glob("*") if _fits(wanted, folder.name) and (folder / "bin/python").exists()]
    if found:
        return str(max(found, key=lambda folder: _parts(folder.name)) / "bin" / "python")
    return wanted


def local_version(wanted: str) -> str:
    """What stands for the interpreter in an environment's id: its full version where it is known here."""
    python = local_python(wanted)
    if python.startswith(sys.base_prefix + os.sep):
        return platform.python_version()
    return Path(python).parent.parent.name if os.sep in python else python


def _fits(wanted: str, version: str) -> bool:
    return bool(_parts(wanted)) and _parts(version)[: len(_parts(wanted))] == _parts(wanted)


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")] if version.replace(".", "").isdigit() else []
