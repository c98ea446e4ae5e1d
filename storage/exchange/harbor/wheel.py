"""A wheel of the isobench that runs: what judges in a container is what exported, with the same dependencies."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

NAME = "isobench"
PACKAGES = ("configs", "storage", "tasks", "flows", "deployments")
"""As `pyproject.toml` lists them for its own wheel."""
_TIME = (2000, 1, 1, 0, 0, 0)
"""Of every file in it, so that equal code gives equal bytes."""


def write_wheel(folder: Path) -> Path:
    """Write the wheel of the packages that are imported here, however they were installed; returns its path."""
    installed = importlib.metadata.distribution(NAME)
    path = folder / f"{NAME}-{installed.version}-py3-none-any.whl"
    about = f"{NAME}-{installed.version}.dist-info"
    records = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in [*_files(), *_metadata(installed, about)]:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            records.append(f"{name},sha256={digest},{len(content)}")
            _add(wheel, name, content)
        _add(wheel, f"{about}/RECORD", ("\n".join([*records, f"{about}/RECORD,,"]) + "\n").encode())
    return path


def constraints() -> str:
    """`name==version` of all that is installed here but isobench itself: pip's `-c`, one a line."""
    found = {
        f"{each.name}=={each.version}"
        for each in importlib.metadata.distributions()
        if each.name and each.name.lower() != NAME
    }
    return "".join(f"{line}\n" for line in sorted(found, key=str.lower))


def _files() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        root = Path(import_module(package).__path__[0])
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _metadata(installed: importlib.metadata.Distribution, about: str) -> Iterator[tuple[str, bytes]]:
    yield f"{about}/METADATA", (installed.read_text("METADATA") or "").encode()
    yield f"{about}/entry_points.txt", (installed.read_text("entry_points.txt") or "").encode()
    wheel = f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    yield f"{about}/WHEEL", wheel.encode()


def _add(wheel: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    wheel.writestr(entry, content)
