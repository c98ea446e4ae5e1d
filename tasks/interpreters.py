"""Which Python to build a local environment on: the running one if it fits, pyenv's, uv's, or what uv finds."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

_DOWNLOAD_TIMEOUT_S = 600


def local_python(wanted: str) -> str:
    """A path, or `wanted` itself (then uv looks further).

    A version fits if all the parts that it gives agree: `3.11` fits 3.11.7; the running one is what `auto` means.
    """
    fits = wanted == "auto" or _fits(wanted, platform.python_version())
    if fits and sys.implementation.name == "cpython":
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


@lru_cache
def ready_python(wanted: str) -> str:
    """`local_python`, or one that uv has or downloads on this machine: a build cannot put it where others find it."""
    import uv

    found = local_python(wanted)
    if os.sep in found or not _parts(wanted):
        return found
    program = uv.find_uv_bin()
    try:
        # a version and nothing else, so that uv gets only releases, and from its own place
        subprocess.run([program, "python", "install", "--no-config", wanted], capture_output=True, check=True,
                       timeout=_DOWNLOAD_TIMEOUT_S)  # fmt: skip
        argv = [program, "python", "find", "--no-config", "--no-project", "--managed-python", wanted]
        said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return found
    return said or found


def installed_pythons() -> dict[str, str]:
    """`python3.9` -> the newest 3.9 among the running Python, pyenv's and uv's, for commands that ask for a version."""
    homes = [Path(sys.base_prefix)]
    homes += (Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("3.*")
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    homes += Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python").glob("cpython-3.*")
    found: dict[str, tuple[list[int], str]] = {}
    for home in homes:
        version = installation_version(home)
        full = re.search(r"3\.\d+\.\d+", home.name)
        parts = _parts(full[0]) if full else [0]
        if version and (version not in found or found[version][0] < parts):
            found[version] = (parts, str(home / "bin" / f"python{version}"))
    return {f"python{version}": path for version, (_, path) in sorted(found.items())}


def installation_version(home: Path) -> str | None:
    """`3.9` if the folder is an installation of Python 3.9, with its library; else None."""
    for library in home.glob("lib/python3.*/os.py"):
        version = library.parent.name.removeprefix("python")
        if (home / "bin" / f"python{version}").exists():
            return version
    return None


def _fits(wanted: str, version: str) -> bool:
    return bool(_parts(wanted)) and _parts(version)[: len(_parts(wanted))] == _parts(wanted)


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")] if version.replace(".", "").isdigit() else []
