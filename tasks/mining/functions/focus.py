"""Reduces a Python file for a comparison: the definitions that a change touches stay, all other lines become blank.

Parsing costs by the line, and most changes touch a few lines of a long file. Layout shows which lines belong together:
a piece goes from a line of code to the next one that stands no further right. Layout can deceive (text in strings,
brackets closed further left), so a caller must be ready to read the whole file instead: where the guess is wrong, the
remaining lines do not parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_NO_START = re.compile(rb"[#)\]}]|(?:else|elif|except|finally)\b")
"""How a line begins that goes on with what stands before it."""
_DEF = re.compile(rb"(?:async[ \t]+)?def[ \t]+(\w+)")
_CLASS = re.compile(rb"class[ \t]+(\w+)")
_NAMED = re.compile(rb"^[ \t]*(?:async[ \t]+)?(?:def[ \t]+(\w+)|class[ \t]+(\w+))", re.MULTILINE)
_COMMENT = re.compile(rb"\s#.*$")
MAX_HEAD = 40
"""Lines that the head of a class may take."""


class Deceived(Exception):
    """The layout of the file is ambiguous."""


@dataclass
class Needed:
    """The lines that must stay."""

    pieces: set[tuple[int, int]] = field(default_factory=set)
    """First line and the line after the last one, from 0."""
    classes: set[int] = field(default_factory=set)
    """Lines with the heads of classes that hold some of it."""


class Layout:
    """A file by its lines. Line numbers count from 0 here."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = source.split(b"\n")
        self._in_string = self._strings()
        self._seen = Needed()

    def names(self, lines: Iterable[int]) -> set[bytes]:
        """Names of the functions and classes that hold one of the lines (from 1); rather too many than too few.

        Raises Deceived.
        """
        needed = self._seen = self._around(lines, Needed())
        found = {match[1] for line in needed.classes if (match := _CLASS.match(self._lines[line].lstrip()))}
        for first, end in needed.pieces:
            for match in _NAMED.finditer(b"\n".join(self._lines[first:end])):
                found.add(match[1] or match[2])
                if match[1] and _DEF.match(self._lines[first].lstrip()):
                    break  # functions inside of a function are its own affair
        return found

    def reduced(self, names: Iterable[bytes]) -> bytes:
        """The file with only those pieces that hold the lines of the last call of `names`, or that define one of the
        names; lines keep their numbers. Raises Deceived.
        """
        needed = self._around({at for name in names for at in self._defining(name)}, self._seen)
        kept = [b""] * len(self._lines)
        for head in needed.classes:
            start, end = self._decorated(head), self._head_end(head)
            kept[start:end] = self._lines[start:end]
        for head in needed.classes:
            at = self._first_statement(head)
            kept[at] = self._lines[at][: self._indent(at)] + b"pass"
        for first, end in needed.pieces:
            kept[first:end] = self._lines[first:end]
        return b"\n".join(kept)

    def _around(self, lines: Iterable[int], needed: Needed) -> Needed:
        """What holds the lines (from 1), besides what is needed already."""
        known = sorted(needed.pieces, reverse=True)
        end = 0
        for line in sorted(lines):
            while known and known[-1][0] < line:
                end = max(end, known.pop()[1])
            if line <= end:
                continue  # in the piece before
            at = self._start_before(min(line, len(self._lines)) - 1)
            if at < end:
                continue
            path = self._path(at)
            while len(path) > 1 and _CLASS.match(self._lines[path[0]].lstrip()):
                needed.classes.add(path.pop(0))
            if _CLASS.match(self._lines[path[0]].lstrip()):
                needed.classes.add(path[0])
            else:
                piece = self._piece(path[0])
                needed.pieces.add(piece)
                end = piece[1]
        return needed

    def _strings(self) -> bytearray:
        """Per line, whether it begins inside of a string in triple quotes."""
        found = bytearray(len(self._lines))
        source = self._source
        places = {quote: source.find(quote) for quote in (b'"""', b"'''")}
        line = before = 0
        while opening := [(at, quote) for quote, at in places.items() if at >= 0]:
            start, quote = min(opening)
            end = source.find(quote, start + 3)
            if end < 0:
                raise Deceived  # a quote in a comment, or in another string
            first = line + source.count(b"\n", before, start)
            line, before = first + source.count(b"\n", start, end), end
            found[first + 1 : line + 1] = b"\1" * (line - first)
            for each, at in places.items():
                if 0 <= at < end + 3:
                    places[each] = source.find(each, end + 3)
        return found

    def _start_before(self, at: int) -> int:
        """The line of code at or above that begins something; -1 if there is none."""
        while at >= 0:
            text = self._lines[at].lstrip()
            if text and not self._in_string[at] and not _NO_START.match(text):
                return at
            at -= 1
        return -1

    def _path(self, at: int) -> list[int]:
        """Lines that the line stands under, outermost first, with itself at the end."""
        path = [at]
        indent = self._indent(at)
        while indent and at:
            at -= 1
            head = self._lines[at][:indent]
            if head and not head.isspace() and self._starts(at, head):
                path.append(at)
                indent = self._indent(at)
        return path[::-1]

    def _piece(self, at: int) -> tuple[int, int]:
        """What begins at the line, with its decorators, to the line after its end."""
        first, indent = self._decorated(at), self._indent(at)
        end = at + 1
        decorators = self._lines[at].lstrip().startswith(b"@")
        while end < len(self._lines):
            head = self._lines[end][: indent + 1]
            if head and not head.isspace() and self._starts(end, head):
                if not decorators:
                    break
                decorators = head.lstrip().startswith(b"@")
            end += 1
        return first, end

    def _starts(self, at: int, head: bytes) -> bool:
        return not self._in_string[at] and not _NO_START.match(head.lstrip())

    def _decorated(self, at: int) -> int:
        """The first of the decorators above a line, or the line itself."""
        indent = self._indent(at)
        while at:
            above = self._lines[at - 1].strip()
            if not above.startswith((b"@", b")")):
                return at
            start = self._start_before(at - 1)
            while start > 0 and self._indent(start) > indent:
                start = self._start_before(start - 1)
            if start < 0 or self._indent(start) != indent or not self._lines[start].lstrip().startswith(b"@"):
                return at
            at = start
        return at

    def _head_end(self, head: int) -> int:
        """The line after `class A(...):`. Raises Deceived if the body stands on the same line."""
        for at in range(head, min(head + MAX_HEAD, len(self._lines))):
            text = _COMMENT.sub(b"", self._lines[at].rstrip()).rstrip()
            if text.endswith(b":"):
                return at + 1
            if at == head and b"(" not in text:
                break
            if at == head and text.count(b"(") == text.count(b")"):
                break
        raise Deceived

    def _first_statement(self, head: int) -> int:
        """The line that the body of a class begins with: of a decorated function that of its `def`."""
        at = self._head_end(head)
        while at < len(self._lines):
            text = self._lines[at].strip()
            if text and not text.startswith(b"#"):
                break
            at += 1
        else:
            raise Deceived
        if text.startswith(b"@"):
            indent = self._indent(at)
            while at < len(self._lines) and not (
                self._indent(at) == indent and (_DEF.match(text := self._lines[at].lstrip()) or _CLASS.match(text))
            ):
                at += 1
            if at == len(self._lines):
                raise Deceived
        return at

    def _indent(self, at: int) -> int:
        line = self._lines[at]
        return len(line) - len(line.lstrip())

    def _defining(self, name: bytes) -> Iterator[int]:
        """Numbers (from 1) of lines that may define a function or a class of that name."""
        for word in (b"def ", b"class "):
            text = word + name
            at = self._source.find(text)
            while at >= 0:
                after = self._source[at + len(text) : at + len(text) + 1]
                if not (after.isalnum() or after == b"_"):
                    before = self._source[self._source.rfind(b"\n", 0, at) + 1 : at].strip()
                    if before in (b"", b"async"):
                        yield self._source.count(b"\n", 0, at) + 1
                at = self._source.find(text, at + 1)
