"""Interpreters of this machine, for what must run under old ones: pyenv's, uv's and those on the PATH."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

PROMISED = (3, 8)
"""The oldest Python that code inside sandboxes may meet."""
REQUIRED = "ISOBENCH_REQUIRE_OLD_PYTHON"
HOW = "Get it by `uv python install 3.8` or `pyenv install 3.8`"


@lru_cache
def interpreters() -> dict[tuple[int, int], Path]:
    """Version -> interpreter, from the promised one on; free-threaded and unfinished ones are left out."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local" / "share" / "uv" / "python"))
    candidates = [*pyenv.glob("*/bin/python3"), *uv.glob("cpython-*/bin/python3"), Path(sys.base_prefix, "bin/python3")]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidates += [path for path in Path(folder).glob("python3.*") if re.fullmatch(r"python3\.\d+", path.name)]
    asked = "import sys; print(*sys.version_info[:4], sys.base_prefix, sys.implementation.name)"
    found: dict[tuple[int, int], Path] = {}
    for path in candidates:
        done = subprocess.run([path, "-I", "-c", asked], capture_output=True, text=True, timeout=60, check=False)
        words = done.stdout.split()
        if done.returncode or len(words) != 6 or words[3] != "final" or words[5] != "cpython":
            continue
        version, real = (int(words[0]), int(words[1])), Path(words[4], "bin", f"python{words[0]}.{words[1]}")
        if version >= PROMISED and real.is_file():  # a shim is no interpreter inside a sandbox
            found.setdefault(version, real)
    return found


def oldest() -> Path:
    """The promised one. Without it: skips, or fails where CI demands it."""
    if PROMISED in interpreters():
        return interpreters()[PROMISED]
    missing = f"no Python {'.'.join(map(str, PROMISED))} among {sorted(interpreters())}. {HOW}; see CONTRIBUTING.md"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but there is {missing}")
    pytest.skip(missing)


def newest() -> Path:
    """The newest that is here."""
    return interpreters()[max(interpreters())]
