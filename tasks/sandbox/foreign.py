"""Files that strangers made, opened outside a sandbox: the only way to do so (a test forbids others).

Patches, wheels, builds and repositories name files as they like. A name is walked from a folder of ours, one part after
the other, and no part may be a link: what a name says never leads out of the folder. Only regular files are opened, so
no pipe makes anybody wait and no device is touched; sizes, depths and numbers are bounded; what is written is new, so
nothing is written through or over what is there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Literal

MEBIBYTE = 1024 * 1024
MAX_BYTES = 16 * MEBIBYTE
"""Of a file that is read at once, where the caller knows no better bound."""
MAX_DEPTH = 100
MAX_PATH_BYTES = 1024
MAX_ENTRIES = 2_000_000
_CHUNK = 256 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOST_FAULTS = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.ESTALE,
)  # fmt: skip

Kind = Literal["file", "folder", "link", "other"]
"""`other`: a pipe, a socket, a device."""


class Refused(OSError):
    """A name that is not followed or a file that is not taken; the message says which and why."""


@dataclass(frozen=True)
class Entry:
    """A name in a stranger's folder, as it is there: of a link the link."""

    name: str
    """Relative to the folder that was walked."""
    kind: Kind
    mode: int
    size: int
    mtime_ns: int


@dataclass
class Budget:
    """How much may still be taken from a stranger."""

    bytes: int
    files: int = 200_000

    def take(self, size: int, files: int = 0) -> None:
        """Raises Refused if that is more than is left."""
        self.bytes -= size
        self.files -= files
        if self.bytes < 0 or self.files < 0:
            raise Refused("it is too large" if self.bytes < 0 else "it has too many files")


def is_host_fault(error: BaseException | str) -> bool:
    """Whether this machine failed (full, out of memory or descriptors), and not the one whose files these are.

    Of what a program printed, its words count.
    """
    if isinstance(error, OSError):
        return error.errno in _HOST_FAULTS
    return any(os.strerror(number).lower() in str(error).lower() for number in _HOST_FAULTS)


def shown(name: str | PurePath) -> str:
    """A stranger's name for a message: printable, on one line, of bounded length."""
    text = repr(str(name))[1:-1]
    return text if len(text) <= 120 else f"{text[:80]}...{text[-37:]}"


def read(root: Path, name: str | PurePath, limit: int = MAX_BYTES) -> bytes:
    """A regular file's content. Raises OSError: FileNotFoundError, or Refused for what is none or is larger."""
    with opened(root, name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise Refused(f"{shown(name)} is larger than {limit} bytes")
    return content


def text(root: Path, name: str | PurePath, limit: int = MAX_BYTES) -> str | None:
    """A regular file as UTF-8, bad bytes replaced; None if there is none that can be read."""
    try:
        return read(root, name, limit).decode("utf-8", "replace")
    except OSError:
        return None


@contextmanager
def opened(root: Path, name: str | PurePath) -> Iterator[BinaryIO]:
    """A regular file for reading. Raises OSError."""
    *folders, last = _parts(name)
    with folder(root, folders) as above:
        # Looked at before it is opened, since opening alone can do something to a device.
        if not stat.S_ISREG(os.stat(last, dir_fd=above, follow_symlinks=False).st_mode):
            raise Refused(f"{shown(name)} is not a regular file")
        descriptor = os.open(last, _READ, dir_fd=above)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{shown(name)} is not a regular file")
        yield file


def kind(root: Path, name: str | PurePath) -> Kind | None:
    """What a name is, itself; None if it is not there, or cannot be had without following a link."""
    try:
        parts = _parts(name) if PurePath(name).parts else []
        with folder(root, parts[:-1]) as above:
            return _kind(os.stat(parts[-1], dir_fd=above, follow_symlinks=False).st_mode) if parts else "folder"
    except OSError:
        return None


def is_file(root: Path, name: str | PurePath) -> bool:
    """Whether it is a regular file."""
    return kind(root, name) == "file"


def is_folder(root: Path, name: str | PurePath) -> bool:
    """Whether it is a folder."""
    return kind(root, name) == "folder"


def target_of(root: Path, name: str | PurePath) -> str:
    """What a link says, which may be anything. Raises OSError."""
    *folders, last = _parts(name)
    with folder(root, folders) as above:
        return os.readlink(last, dir_fd=above)


def inside(root: Path, name: str | PurePath) -> str | None:
    """The same name without links, where all its links stay in the folder; None where one leads out or nowhere.

    For folders that a project reaches by links of its own (`src -> python/src`).
    """
    todo = list(reversed(PurePath(name).parts))
    found: list[str] = []
    for _ in range(4 * MAX_DEPTH):
        if not todo:
            return "/".join(found) or "."
        part = todo.pop()
        if part == "..":
            if not found:
                return None
            found.pop()
            continue
        here = "/".join([*found, part])
        what = kind(root, here) if part != "/" else None
        if what == "link":
            todo += reversed(PurePath(target_of(root, here)).parts)
        elif what in ("folder", "file"):
            found.append(part)
        else:
            return None
    return None


def walk(root: Path, under: str = ".", enter: Callable[[str], bool] | None = None) -> Iterator[Entry]:
    """Every name below a folder: a folder's names in order, then those of its folders. Raises OSError, Refused.

    `enter` says of a folder, by its relative name, whether to go on in it. Links are told, not followed.
    """
    todo = [under if PurePath(under).parts else ""]
    number = 0
    while todo:
        here = todo.pop()
        if here.count("/") >= MAX_DEPTH or len(os.fsencode(here)) > MAX_PATH_BYTES:
            raise Refused(f"folders are too deep: {shown(here)}")
        with folder(root, _parts(here) if here else []) as above, os.scandir(above) as listed:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in listed]
        number += len(found)
        if number > MAX_ENTRIES:
            raise Refused(f"more than {MAX_ENTRIES} files")
        deeper = []
        for part, status in sorted(found, key=lambda item: item[0]):
            name = f"{here}/{part}" if here else part
            what = _kind(status.st_mode)
            if what == "folder" and (enter is None or enter(name)):
                deeper.append(name)
            yield Entry(name, what, status.st_mode, status.st_size, status.st_mtime_ns)
        todo += reversed(deeper)


def names(root: Path, under: str = ".") -> list[str]:
    """What is in a folder, sorted; empty where there is none."""
    found = walk(root, under, lambda _: False) if is_folder(root, under) else ()
    return [PurePath(entry.name).name for entry in found]


def files(root: Path, under: str = ".", enter: Callable[[str], bool] | None = None) -> Iterator[str]:
    """Names of the regular files below a folder; see `walk`."""
    return (entry.name for entry in walk(root, under, enter) if entry.kind == "file")


@contextmanager
def created(root: Path, name: str | PurePath, executable: bool = False) -> Iterator[BinaryIO]:
    """A new file for writing, and the folders above it. Raises OSError: FileExistsError if anything has that name."""
    *folders, last = _parts(name)
    with folder(root, folders, make=True) as above:
        descriptor = os.open(last, _WRITE, 0o755 if executable else 0o644, dir_fd=above)
    with open(descriptor, "wb") as file:
        yield file


def write(root: Path, name: str | PurePath, content: bytes) -> None:
    """Write a new file; see `created`."""
    with created(root, name) as file:
        file.write(content)


def replace(root: Path, name: str | PurePath, content: bytes) -> None:
    """Write a file whole or not at all, in the place of whatever file or link has its name. Raises OSError."""
    *folders, last = _parts(name)
    temporary = f".{uuid.uuid4().hex}.tmp"
    with folder(root, folders, make=True) as above:
        descriptor = os.open(temporary, _WRITE, 0o644, dir_fd=above)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            os.replace(temporary, last, src_dir_fd=above, dst_dir_fd=above)
        except BaseException:
            os.unlink(temporary, dir_fd=above)
            raise


def unlink(root: Path, name: str | PurePath) -> None:
    """Remove a name that is no folder, if it is there: of a link the link. Raises OSError."""
    *folders, last = _parts(name)
    with contextlib.suppress(FileNotFoundError), folder(root, folders) as above:
        os.unlink(last, dir_fd=above)


def link(root: Path, name: str | PurePath, to: str) -> None:
    """Make a new symbolic link, which is never followed here, and the folders above it; see `created`."""
    *folders, last = _parts(name)
    with folder(root, folders, make=True) as above:
        os.symlink(to, last, dir_fd=above)


def copy(source: Path, name: str, target: Path, new_name: str, budget: Budget) -> None:
    """Copy a regular file to a new one, without owner, times and special modes. Raises OSError, Refused."""
    with opened(source, name) as file:
        executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
        budget.take(0, files=1)
        with created(target, new_name, executable) as new:
            while chunk := file.read(_CHUNK):
                budget.take(len(chunk))
                new.write(chunk)


@contextmanager
def folder(root: Path, parts: list[str], make: bool = False) -> Iterator[int]:
    """A descriptor of a folder below `root`, reached without a link; with `make` it is made where it lacks."""
    descriptor = os.open(root, _FOLDER)
    try:
        for part in parts:
            try:
                below = os.open(part, _FOLDER, dir_fd=descriptor)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):  # another thread's, or opening it fails
                    os.mkdir(part, 0o755, dir_fd=descriptor)
                below = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _parts(name: str | PurePath) -> list[str]:
    """The parts of a relative name that stays below its folder. Raises Refused for any other."""
    written = str(name)
    parts = [part for part in written.split("/") if part not in ("", ".")]
    if not parts or written.startswith("/") or ".." in parts or "\0" in written:
        raise Refused(f"{shown(name)} is not a name below its folder")
    try:
        too_long = len(os.fsencode(written)) > MAX_PATH_BYTES
    except UnicodeEncodeError:
        raise Refused(f"{shown(name)} is no name of a file") from None
    if too_long or len(parts) > MAX_DEPTH:
        raise Refused(f"{shown(name)} is too long or too deep a name")
    return parts


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"
