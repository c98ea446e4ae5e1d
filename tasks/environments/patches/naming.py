"""Which file of a folder each part of a patch means, where prefixes are missing, doubled or whole paths."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from tasks.code.diffs import Diff, Section
from tasks.sandbox import foreign

Names = tuple[bytes, bytes]
"""As they stand in the patch; empty for /dev/null."""

_STAMP = re.compile(rb"\t.*", re.DOTALL)
_PREFIX = re.compile(rb"[a-z]/")
_MOST = 12
"""Folders that are taken off a name."""


def levels(diff: Diff, folder: Path) -> tuple[int, ...]:
    """How many leading parts of the names git should leave out, likeliest first: 1 for `a/` and `b/`, 0 for none.

    Only git's own form says that a new file's name has no prefix. `b/new.py` alone must never become a file of a
    folder `b`, which is why single letters count as prefixes unless both names are one name of the folder.
    """
    lies_there = _all(diff, lambda names: _lies_there(names, folder))
    if diff.twice_named:
        return (0,) if diff.may_lack_prefixes or lies_there else (1,)
    if lies_there and _all(diff, lambda names: names[0] == names[1] or (not names[0] and not _PREFIX.match(names[1]))):
        return (0, 1)
    return (1, 0) if diff.may_lack_prefixes else (1,)


def deeper_level(diff: Diff, folder: Path) -> int | None:
    """The fewest parts, from 2 on, without which every file that the patch changes is there; `/testbed/pkg/core.py`.

    None if there is no such number, or nothing but new files to tell it by.
    """
    changed = [names[0] for section in diff.sections if (names := names_of(section)) and names[0]]
    for level in range(2, _MOST):
        if changed and all(_is_file(folder, stripped(name, level)) for name in changed):
            return level
    return None


def names_of(section: Section) -> Names | None:
    """Old and new name as the headers have them, or None where they do not say."""
    found: dict[bytes, bytes] = {}
    for line in section.head:
        if line[:4] in (b"--- ", b"+++ "):
            found[line[:3]] = _plain(line[4:])
    if len(found) == 2:
        return found[b"---"], found[b"+++"]
    named = section.head[0].removeprefix(b"diff --git ") if section.head else b""
    half, odd = divmod(len(named), 2)
    if odd and named[:half] == named[half + 1 :]:
        return _plain(named[:half]), _plain(named[:half])
    return None


def stripped(name: bytes, level: int) -> bytes:
    """A name without its first parts, counted as git does: by slashes. Empty if nothing is left."""
    parts = name.split(b"/", level)
    return re.sub(rb"/+", b"/", parts[level]) if len(parts) > level else b""


def text_of(name: bytes) -> str:
    """As Python names files."""
    return name.decode("utf-8", "surrogateescape")


def _plain(name: bytes) -> bytes:
    name = _STAMP.sub(b"", name) if not name.startswith(b'"') else name
    if name.startswith(b'"'):
        try:
            name = codecs.escape_decode(name[1 : name.rindex(b'"')])[0]
        except ValueError:
            return name
    return b"" if name == b"/dev/null" else name.rstrip()


def _all(diff: Diff, holds: Callable[[Names], bool]) -> bool:
    """Whether it holds for every part, and all of them have names."""
    found = [names_of(section) for section in diff.sections]
    return bool(found) and all(names is not None and holds(names) for names in found)


def _lies_there(names: Names, folder: Path) -> bool:
    """Whether the name without anything taken off is that of a file, or of a new one in a folder that is there."""
    old, new = names
    if old and _is_file(folder, old):
        return True
    return b"/" in new and foreign.is_folder(folder, text_of(new.split(b"/")[0]))


def _is_file(folder: Path, name: bytes) -> bool:
    try:
        return bool(name) and foreign.is_file(folder, text_of(name))
    except OSError:
        return False
