"""The lines that a unified diff removes and adds, with their files and numbers: `diffs.read_diff`, for text.

A line that begins with `-- ` or `++ ` looks like a file's header once it has its sign; only a reader that counts the
lines of a hunk tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tasks.code.diffs import Diff, Section, read_diff

_ERRORS = "surrogatepass"
"""Whatever a text holds comes back as it was."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One removed or added line."""

    sign: Literal["-", "+"]
    old_path: str
    new_path: str
    """`/dev/null` for the side on which the file does not exist."""
    old_line: int
    new_line: int
    """Numbers from 1. On the side that lacks the line: where the next line of the hunk stands."""
    text: str


def read_text(patch: str) -> Diff:
    """The parts of a patch that is text. `text_of` turns its lines into text again."""
    return read_diff(patch.encode("utf-8", _ERRORS))


def text_of(line: bytes) -> str:
    """A line of a hunk or a head of `read_text`."""
    return line.decode("utf-8", _ERRORS)


def edits_of(patch: str) -> Iterator[Edit]:
    """Every removed and added line of a patch, in its order."""
    for section in read_text(patch).sections:
        old_path, new_path = _path(section, b"--- ", b"a/"), _path(section, b"+++ ", b"b/")
        for hunk in section.hunks:
            old, new = hunk.old_start, hunk.new_start
            for line in hunk.lines:
                sign = line[:1]
                if sign == b"-":
                    yield Edit("-", old_path, new_path, old, new, text_of(line[1:]))
                elif sign == b"+":
                    yield Edit("+", old_path, new_path, old, new, text_of(line[1:]))
                old += sign not in (b"+", b"\\")
                new += sign not in (b"-", b"\\")


def _path(section: Section, header: bytes, prefix: bytes) -> str:
    line = next((line for line in reversed(section.head) if line.startswith(header)), b"")
    return text_of(line.removeprefix(header).rstrip(b"\t").removeprefix(prefix))
