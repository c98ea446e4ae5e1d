"""Our own pytest, for environments that have none: its packages as a folder that is mounted beside the arm."""

from __future__ import annotations

import compileall
import shutil
import uuid
from importlib import metadata
from pathlib import Path

from storage.ids import content_hash

TOOLS_DIR = "/tools"
"""Where the folder is mounted."""
PACKAGES = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")
"""Pytest and what it needs from Python 3.11 on. Older interpreters need more: there the environment must have it."""


def tools_folder(work: Path) -> Path:
    """The folder, made once per version of the packages. Appears whole or not at all."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    folder = work / "tools" / f"pytest-{content_hash(versions, length=12)}"
    if folder.is_dir():
        return folder
    temporary = folder.parent / f".{folder.name}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir(parents=True)
    for name in PACKAGES:
        for file in metadata.files(name) or []:
            if ".." not in file.parts and "__pycache__" not in file.parts and file.suffix in (".py", ".typed"):
                target = temporary / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    # or each process that runs tests would compile it anew, of the folder that it cannot write to
    compileall.compile_dir(temporary, quiet=2, stripdir=str(temporary), prependdir=TOOLS_DIR)
    try:
        temporary.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(temporary)
    return folder
