"""Gives the lines around a change the white space that the file has, and the lines that are added the same indentation.

Editors and harnesses expand tabs, cut blanks at the ends of lines, change line ends and drop byte order marks. Git
passes over such differences in the lines that stay, but adds lines as they are: in a file of tabs, Python would not
read them. Only a hunk whose old lines stand in the file, white space aside, is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tasks.code.diffs import Diff, Hunk, Section
from tasks.environments.patches.naming import names_of, stripped, text_of
from tasks.sandbox import foreign

_MARK = b"\xef\xbb\xbf"
_TAB = 8


class Unclear(Exception):
    """The old lines are in the file, but which indentation the added ones would have there cannot be told."""


class _NoFit(Exception):
    """A hunk's old lines are not in the file."""


def fitted(diff: Diff, folder: Path, level: int) -> Diff | None:
    """The diff with the files' own white space, or None if that changes nothing or some part of it does not fit.

    Raises Unclear.
    """
    try:
        made = replace(diff, sections=[_section(section, folder, level) for section in diff.sections])
    except (_NoFit, OSError):
        return None
    return made if made.sections != diff.sections else None


def _section(section: Section, folder: Path, level: int) -> Section:
    names = names_of(section)
    if not section.hunks or names is None or not names[0]:
        return section
    name = stripped(names[0], level) if level else names[0]
    content = foreign.read(folder, text_of(name))
    if b"\0" in content:
        raise _NoFit
    lines = content.split(b"\n")
    whole = not lines[-1]
    lines = lines[:-1] if whole else lines
    words = [line.removeprefix(_MARK).split() for line in lines]
    hunks, after = [], 0
    for hunk in sorted(section.hunks, key=lambda hunk: hunk.old_start):
        start, count = _place(hunk, words, after)
        if not whole and start + count == len(lines):
            raise _NoFit  # its marker of a missing newline may be lost, too
        hunks.append(_hunk(hunk, start, lines[start : start + count]))
        after = start + count
    return replace(section, hunks=tuple(hunks))


def _place(hunk: Hunk, words: Sequence[list[bytes]], after: int) -> tuple[int, int]:
    """Where the hunk's old lines stand in the file, nearest to where it says, and how many they are."""
    old = [line[1:].removeprefix(_MARK).split() for line in hunk.lines if line[:1] not in (b"+", b"\\")]
    if not any(old):
        raise _NoFit
    found = [at for at in range(after, len(words) - len(old) + 1) if words[at] == old[0] and _same(words, at, old)]
    if not found:
        raise _NoFit
    return min(found, key=lambda at: abs(at + 1 - hunk.old_start)), len(old)


def _same(words: Sequence[list[bytes]], at: int, old: Sequence[list[bytes]]) -> bool:
    return list(words[at : at + len(old)]) == list(old)


def _hunk(hunk: Hunk, start: int, there: Sequence[bytes]) -> Hunk:
    """The hunk with the lines that are there."""
    known = _indentations(hunk, there)
    ended = iter(there)
    end = b"\r" if there[0].endswith(b"\r") else b""
    made = []
    for line in hunk.lines:
        if line[:1] == b"\\":
            made.append(line)
        elif line[:1] == b"+":
            made.append(b"+" + _indented(line[1:].rstrip(b"\r"), known) + end)
        else:
            its = next(ended)
            end = b"\r" if its.endswith(b"\r") else b""
            made.append((line[:1] or b" ") + its)
    return replace(hunk, old_start=start + 1, lines=tuple(made))


def _indentations(hunk: Hunk, there: Sequence[bytes]) -> dict[bytes, bytes]:
    """What stands before a first word in the patch -> what the file has there. Raises Unclear."""
    known: dict[bytes, bytes] = {}
    old = [line[1:].removeprefix(_MARK) for line in hunk.lines if line[:1] not in (b"+", b"\\")]
    adds = any(line[:1] == b"+" and line[1:].strip() for line in hunk.lines)
    for said, its in zip(old, there, strict=True):
        if said.strip() and known.setdefault(_indentation(said), _indentation(its)) != _indentation(its) and adds:
            raise Unclear
    return known


def _indented(line: bytes, known: dict[bytes, bytes]) -> bytes:
    """An added line with the indentation that its own stands for."""
    said = _indentation(line)
    if not line.strip() or all(before == its for before, its in known.items()):
        return line
    if said in known:
        return known[said] + line[len(said) :]
    styles = {*said} | {byte for its in known.values() for byte in its}
    if len(styles) < 2:  # blanks where all are blanks, or tabs where all are tabs
        return line
    # tabs were expanded: how wide one was is what two known indentations say, else the usual
    lower = max((before for before in known if said.startswith(before)), key=len, default=None)
    width = _width(known)
    if lower is None or any(its.strip(b"\t") for its in known.values()) or (len(said) - len(lower)) % width:
        raise Unclear
    return known[lower] + b"\t" * ((len(said) - len(lower)) // width) + line[len(said) :]


def _width(known: dict[bytes, bytes]) -> int:
    widths = {
        (len(more) - len(less)) // (len(known[more]) - len(known[less]))
        for more in known
        for less in known
        if len(known[more]) > len(known[less]) and known[less]
    }
    return widths.pop() if len(widths) == 1 and min(widths, default=0) > 0 else _TAB


def _indentation(line: bytes) -> bytes:
    line = line.removeprefix(_MARK)
    return line[: len(line) - len(line.lstrip(b" \t"))]
