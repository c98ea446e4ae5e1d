"""Whole folders that strangers filled: made plain, copied, removed, however deep and whatever is in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

from tasks.sandbox import foreign
from tasks.sandbox.foreign import Budget, Entry

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


def copy_files(
    source: Path, target: Path, budget: Budget, under: str = ".", wanted: Callable[[Entry], bool] | None = None
) -> None:
    """Copy the regular files below a folder, under the same names; links, pipes and devices stay behind.

    Raises OSError; Refused where the budget does not last.
    """
    for entry in foreign.walk(source, under):
        if entry.kind == "file" and (wanted is None or wanted(entry)):
            foreign.copy(source, entry.name, target, entry.name, budget)


def make_harmless(root: Path) -> None:
    """Remove pipes, sockets and devices below a folder, and take from files and folders the right to be somebody else.

    Links stay: they are followed inside sandboxes only. Raises OSError.
    """
    for entry in list(foreign.walk(root)):
        if entry.kind != "other" and (entry.kind == "link" or not entry.mode & _SPECIAL):
            continue
        *folders, last = entry.name.split("/")
        with foreign.folder(root, folders) as above:
            further_names = entry.kind == "file" and os.stat(last, dir_fd=above, follow_symlinks=False).st_nlink > 1
            if entry.kind != "other" and not further_names:
                os.chmod(last, stat.S_IMODE(entry.mode) & ~_SPECIAL, dir_fd=above)
            else:  # of a file with further names elsewhere only this name is ours
                os.unlink(last, dir_fd=above)


def remove(path: Path) -> None:
    """Remove whatever has this name, if anything; never raises. A link goes, not what it leads to."""
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        try:
            shutil.rmtree(path)
        except (OSError, RecursionError):  # too deep for its recursion, or a folder that nobody may enter
            _flatten(path)
            shutil.rmtree(path, ignore_errors=True)


def _flatten(path: Path) -> None:
    """Empty a folder of any depth: every folder in it is first moved to its top."""
    top = os.open(path, _FOLDER)
    try:
        todo = [name for name in os.listdir(top) if _enterable(top, name)]
        while todo:
            with contextlib.suppress(OSError):
                folder = os.open(todo.pop(), _FOLDER, dir_fd=top)
                try:
                    for name in os.listdir(folder):
                        if _enterable(folder, name):
                            moved = uuid.uuid4().hex
                            os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=top)
                            todo.append(moved)
                        else:
                            os.unlink(name, dir_fd=folder)
                finally:
                    os.close(folder)
    finally:
        os.close(top)


def _enterable(folder: int, name: str) -> bool:
    """Whether a name is a folder itself; then it can be entered and emptied from now on."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    os.chmod(name, 0o700, dir_fd=folder)
    return True
