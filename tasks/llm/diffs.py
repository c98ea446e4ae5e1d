"""A diff made to fit into a prompt: whole hunks only, code before tests, and a word about what is missing.

Cuts the text itself instead of reading it with `tasks.code.diffs`: that one mends and leaves out, and a prompt shows
each byte as the diff has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.code.paths import is_test_path

_FILE = re.compile(r"^diff --git ", re.MULTILINE)
_HUNK = re.compile(r"^@@ ", re.MULTILINE)
_TARGET = re.compile(r"^diff --git a/(.*) b/(.*)$", re.MULTILINE)


@dataclass
class _File:
    path: str
    header: str
    hunks: list[str]
    kept: list[str] = field(default_factory=list)


def cut_diff(patch: str, limit: int, size: Callable[[str], int] = len) -> str:
    """The diff in at most about `limit` characters, or whatever else `size` counts.

    Hunks are kept whole, in order, files of code before files of tests; a hunk that does not fit is dropped and a
    later, smaller one may still be kept. A last line `[cut: ...]` (not counted) says what was dropped from which file.
    """
    if size(patch) <= limit:
        return patch
    files = _split(patch)
    room = limit
    for file in sorted(files, key=lambda file: is_test_path(file.path)):  # stable: order in the diff otherwise
        for hunk in file.hunks or [""]:
            need = size(hunk) + (0 if file.kept else size(file.header))
            if need <= room:
                file.kept.append(hunk)
                room -= need
    shown = "".join(file.header + "".join(file.kept) for file in files if file.kept)
    missing = [
        f"{len(file.hunks) - len([hunk for hunk in file.kept if hunk])} of {len(file.hunks)} hunks of {file.path}"
        for file in files
        if len(file.kept) < max(1, len(file.hunks))
    ]
    if not missing:
        return shown
    listed = "; ".join(missing[:20]) + (f"; and {len(missing) - 20} more files" if len(missing) > 20 else "")
    return f"{shown.rstrip()}\n[cut: {listed}]\n".lstrip()


def _split(patch: str) -> list[_File]:
    starts = [match.start() for match in _FILE.finditer(patch)]
    if not starts:
        starts = [0]
    files = []
    for start, end in zip(starts, [*starts[1:], len(patch)], strict=True):
        text = patch[start:end]
        hunks = [match.start() for match in _HUNK.finditer(text)]
        header = text[: hunks[0]] if hunks else text
        name = _TARGET.match(text)
        bodies = [text[at:to] for at, to in zip(hunks, [*hunks[1:], len(text)], strict=True)]
        files.append(_File(path=name[2] if name else "the diff", header=header, hunks=bodies))
    return files
