"""What stays of the folder in which an environment was built: its installation may have put anything there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tasks.sandbox.foreign import MEBIBYTE, Budget, is_folder, kind, write
from tasks.sandbox.foreign_folders import copy_files, make_harmless, remove

_KEPT = ("venv", "generated")
MAX_GENERATED_BYTES = 2048 * MEBIBYTE


class Unsettled(Exception):
    """What was built is not what was asked for; the message says what is there."""


def settle_downloads(cache: Path) -> None:
    """Make harmless what steps left among the downloads that later builds share. Never raises.

    Steps run with this user's number, so that a program which they mark to be run as its owner would be run as this
    user; meanwhile nobody else of this machine reaches it.
    """
    with contextlib.suppress(OSError):
        make_harmless(cache)


def settle(folder: Path, files: dict[str, str]) -> None:
    """Keep the environment and the files that it adds to arms, and write `files` beside them.

    The names of `files` are ours, whatever the installation put there. Raises Unsettled; OSError, Refused.
    """
    for entry in list(os.scandir(folder)):
        if entry.name not in _KEPT:
            remove(Path(entry.path))
    for name in _KEPT:
        if kind(folder, name) not in (None, "folder"):
            raise Unsettled(f"the installation put something else in the place of the folder {name}")
    if is_folder(folder, "generated"):
        (folder / "plain").mkdir()
        copy_files(folder / "generated", folder / "plain", Budget(MAX_GENERATED_BYTES))
        remove(folder / "generated")
        (folder / "plain").rename(folder / "generated")
    if is_folder(folder, "venv"):
        make_harmless(folder / "venv")
    for name, content in files.items():
        write(folder, name, content.encode("utf-8", "backslashreplace"))
