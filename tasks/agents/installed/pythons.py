"""The Python that an agent runs on: mounted, so it must be a folder of its own that holds all of an installation."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from tasks.interpreters import installed_pythons, local_python, ready_python


@dataclass(frozen=True)
class Interpreter:
    """An installation of Python on this machine."""

    home: Path
    program: str
    """Name below `bin`. Example: `python3.12`."""
    version: str
    """As far as its folder tells. Example: `3.12.1`."""


def interpreter(wanted: str) -> Interpreter | str:
    """One that fits `3.12` (that version) or `3.12+` (that or a newer one), or why there is none."""
    found = re.fullmatch(r"3\.(\d+)(\.\d+)?(\+?)", wanted)
    if found is None:
        return f"install.python: {wanted!r} is no version such as 3.12 or 3.12+"
    least = int(found[1])
    if found[3]:
        known = [name.removeprefix("python") for name in installed_pythons()]
        fitting = sorted(int(name.split(".")[1]) for name in known if int(name.split(".")[1]) >= least)
        running = int(platform.python_version_tuple()[1])
        minor = running if running >= least else fitting[0] if fitting else least
        wanted = f"3.{minor}"
    path = Path(ready_python(wanted))
    if not path.is_absolute():
        return (
            f"it needs Python {wanted}, which is not on this machine and could not be downloaded; get it by "
            f"`uv python install {wanted}` or `pyenv install {wanted}`"
        )
    home, minor_name = path.resolve().parent.parent, ".".join(wanted.split(".")[:2])
    version = platform.python_version() if local_python(wanted) == str(path) and _is_running(path) else home.name
    return Interpreter(home, f"python{minor_name}", version)


def _is_running(path: Path) -> bool:
    import sys

    return path.is_relative_to(Path(sys.base_prefix))
