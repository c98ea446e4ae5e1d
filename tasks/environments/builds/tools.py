"""What every build finds beside its environment: uv alone, a `pip` that is the environment's, other Pythons."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

PIP = """#!/bin/sh
# pip of the environment that is active, which is put there at its first use
python="${VIRTUAL_ENV:-%s}/bin/python"
if ! "$python" -c 'import pip' 2>/dev/null; then
    "$python" -m ensurepip >/dev/null 2>&1 || uv pip install --quiet --python "$python" pip || exit
fi
exec "$python" -m pip "$@"
"""
ON_PATH = """#!/bin/sh
case ":$PATH:" in *":$HOME/.local/bin:"*) ;; *) export PATH="$HOME/.local/bin:$PATH" ;; esac
"""
"""What uv's own installer leaves for shells to read."""


def make_tools(folder: Path, environment: str, pythons: Mapping[str, str]) -> None:
    """Fill a new folder: `bin` (uv), `shims` (pip), `pythons` (`python3.9` -> its path).

    `environment` is the virtual environment as the build sees it.
    """
    import uv

    for name in ("bin", "shims", "pythons"):
        (folder / name).mkdir(parents=True)
    program = uv.find_uv_bin()
    try:
        os.link(program, folder / "bin" / "uv")
    except OSError:
        shutil.copy2(program, folder / "bin" / "uv")
    for name in ("pip", "pip3"):
        (folder / "shims" / name).write_text(PIP % environment)
        (folder / "shims" / name).chmod(0o755)
    for name, path in pythons.items():
        (folder / "pythons" / name).symlink_to(path)


def make_home(folder: Path, uv: str) -> None:
    """Fill a new home folder as uv's installer would have left it. `uv` is a path as the build sees it."""
    for place in (".local/bin", ".cargo"):
        (folder / place).mkdir(parents=True)
    (folder / ".local/bin/uv").symlink_to(uv)
    for place in (".local/bin/env", ".cargo/env"):
        (folder / place).write_text(ON_PATH)


def search_path(environment: str, tools: str) -> str:
    """PATH of a build: the environment, uv, the system, other Pythons; never the folder that holds our own programs."""
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return f"{tools}/shims:{environment}/bin:{tools}/bin:{system}:{tools}/pythons"
