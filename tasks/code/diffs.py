"""Reads a unified diff that went through hands: parts that say nothing are left out, counts are those of the lines.

Nothing here knows about files. What a hunk removes and adds is never changed; only what surrounds it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)", re.DOTALL)
_HEADERS = (
    b"index ", b"old mode ", b"new mode ", b"new file mode ", b"deleted file mode ", b"similarity index ",
    b"dissimilarity index ", b"rename from ", b"rename to ", b"copy from ", b"copy to ",
)  # fmt: skip
_BINARY = re.compile(rb"Binary files .* differ")
_SUBPROJECT = re.compile(rb"[-+]Subproject commit [0-9a-f]+(-dirty)?")
_NAMES = re.compile(rb"diff --git ([^ \"]+) ([^ \"]+)")
_COPIED = re.compile(rb"^copy from[ \t]+([^\r\n]*)", re.MULTILINE)
_ESCAPE = re.compile(rb"\x1b\[[0-9;]*[mK]")
_NO_NEWLINE = b"\\ No newline at end of file"
_NOTHING = re.compile(rb"(?:---|\+\+\+) (?:[a-z]/|/)?dev/null\s*")
_PREFIXED = re.compile(rb'(?:diff --git|---|\+\+\+) "?[a-z]/')


@dataclass(frozen=True)
class Hunk:
    """Lines of one place of a file, each with its sign, without line ends of the patch."""

    old_start: int
    new_start: int
    heading: bytes
    lines: tuple[bytes, ...]

    @property
    def has_context(self) -> bool:
        """Whether it has a line that stays."""
        return any(line[:1] not in (b"+", b"-", b"\\") for line in self.lines)

    def text(self) -> bytes:
        """As git wants it."""
        old, new = _count(self.lines)
        header = b"@@ -%d,%d +%d,%d @@%s" % (self.old_start, old, self.new_start, new, self.heading)
        return b"".join(line + b"\n" for line in (header, *self.lines))


@dataclass(frozen=True)
class Section:
    """What a patch says about one file."""

    head: tuple[bytes, ...]
    hunks: tuple[Hunk, ...] = ()
    binary: tuple[bytes, ...] = ()
    """Lines of git's own encoding of a binary file."""

    def text(self) -> bytes:
        """As git wants it."""
        lines = b"".join(line + b"\n" for line in (*self.head, *self.binary))
        return lines + b"".join(hunk.text() for hunk in self.hunks)

    def other_line_ends(self) -> Iterator[Section]:
        """The same with LF, and with CRLF, throughout its hunks."""
        for end in (b"", b"\r"):
            hunks = tuple(replace(hunk, lines=tuple(_ended(line, end) for line in hunk.lines)) for hunk in self.hunks)
            yield replace(self, hunks=hunks)


@dataclass(frozen=True)
class Diff:
    """A patch, and what was left out or mended to read it."""

    sections: list[Section]
    notes: list[str] = field(default_factory=list)
    uncounted: list[str] = field(default_factory=list)
    """Lines that git passes over, since the numbers in the headers do not count them."""

    stripped: list[int] = field(default_factory=list)
    """Where hunks lack their last lines."""

    @property
    def twice_named(self) -> bool:
        """Whether git's own headers name every file twice in the same way, as `git diff --no-prefix` does."""
        names = [head for section in self.sections for head in section.head if head.startswith(b"diff --git ")]
        return bool(names) and all(map(_same_twice, names))

    @property
    def may_lack_prefixes(self) -> bool:
        """Whether no name begins as if it had one: `b/new.py` must never become a file of a folder `b`."""
        return not any(_PREFIXED.match(head) for section in self.sections for head in section.head)

    @property
    def lacks_context(self) -> bool:
        """Whether a hunk shows no line around what it changes, as `diff -U0` makes them."""
        return any(not hunk.has_context for section in self.sections for hunk in section.hunks)

    def text(self) -> bytes:
        """As git wants it."""
        return b"".join(section.text() for section in self.sections)


def read_diff(data: bytes, fill: bool = True) -> Diff:
    """The files' parts of a patch. Prose, fences and mail around them are passed over, as git and GNU patch do.

    Where the last lines of a hunk were stripped, blank ones take their place; without `fill` nothing does.
    """
    lines = data.split(b"\n")
    diff = _Reader(lines, fill).read()
    for note, other in (
        ("colours of a terminal taken out", lambda: _ESCAPE.sub(b"", data).split(b"\n")),
        ("indented throughout", lambda: [line[_margin(lines) :] for line in lines]),
    ):
        if diff.sections:
            break
        if (found := _Reader(lines := other(), fill).read()).sections:
            found.notes.insert(0, note)
            diff = found
    return diff


def sources_outside(data: bytes) -> list[bytes]:
    """Names that a patch copies from and that do not lie in the folder: git checks all other names, but not these."""
    found = []
    for line in _COPIED.findall(data):
        name = line.strip()
        try:
            name = codecs.escape_decode(name.strip(b'"'))[0] if name.startswith(b'"') else name
        except ValueError:
            found.append(line)
            continue
        parts = name.split(b"/")
        if b".." in parts or not parts[0] or b".git" in [part.lower() for part in parts]:
            found.append(line)
    return found


def _margin(lines: list[bytes]) -> int:
    return min((len(line) - len(line.lstrip(b" \t")) for line in lines if line.strip()), default=0)


class _Reader:
    def __init__(self, lines: list[bytes], fill: bool) -> None:
        self._lines = lines
        self._fill = fill
        self._at = 0
        self._diff = Diff([])

    def read(self) -> Diff:
        while self._at < len(self._lines):
            line = self._line()
            if line.startswith(b"diff --git "):
                self._git_section()
            elif self._is_file_header(self._at):
                head = (self._take(), self._take())
                self._keep(Section(head, self._hunks()))
            elif _BINARY.fullmatch(line):
                self._note(f"left out, since it has no content: {_shown(line)}")
                self._at += 1
            else:
                self._at += 1
        return self._diff

    def _git_section(self) -> None:
        head = [self._take()]
        while self._at < len(self._lines) and self._line().startswith(_HEADERS):
            head.append(self._take())
        line = self._line()
        if _BINARY.fullmatch(line):
            self._note(f"left out, since it has no content: {_shown(line)}")
            self._at += 1
            return
        if line == b"GIT binary patch":
            start = self._at
            while self._at < len(self._lines) and not self._line().startswith(b"diff --git "):
                self._at += 1
            self._keep(Section(tuple(head), binary=tuple(line.rstrip(b"\r") for line in self._lines[start : self._at])))
            return
        if self._is_file_header(self._at):
            head += [self._take(), self._take()]
        elif _HUNK.fullmatch(self._line()) and (names := _NAMES.fullmatch(head[0])):
            self._note(f"names of the file taken from: {_shown(head[0])}")
            head += [b"--- " + names[1], b"+++ " + names[2]]
        hunks = self._hunks()
        if (whole := _made_or_removed(head, hunks)) != head:
            self._note(f"headers of a new or a removed file completed: {_shown(head[0])}")
        self._keep(Section(tuple(whole), hunks))

    def _keep(self, section: Section) -> None:
        lines = [line.rstrip(b"\r") for hunk in section.hunks for line in hunk.lines]
        if lines and all(_SUBPROJECT.fullmatch(line) for line in lines):
            self._note(f"left out, since submodules are not there: {_shown(section.head[0])}")
            return
        if (section.hunks or section.binary) and section in self._diff.sections:
            self._note(f"left out, since it is there twice: {_shown(section.head[0])}")
            return
        self._diff.sections.append(section)

    def _hunks(self) -> tuple[Hunk, ...]:
        found = []
        while match := _HUNK.fullmatch(self._line()):
            self._at += 1
            found.append(self._hunk(match))
        return tuple(found)

    def _hunk(self, match: re.Match[bytes]) -> Hunk:
        old, new = (1 if text is None else int(text) for text in (match[2], match[4]))
        start = self._at
        end = self._counted(old, new)
        following = self._lines[end] if end is not None and end < len(self._lines) else b""
        inspected = self._inspected()
        if end is None:
            lines = self._mended(self._lines[start:inspected], old, new)
            self._at = inspected
        else:
            lines = self._lines[start:end]
            self._at = end
            if following[:1] in (b"+", b"-") and inspected > end:
                self._diff.uncounted.append(
                    f"{inspected - end} lines passed over that no header counts, at line {end + 1}"
                )
        heading = match[5].rstrip(b"\r")
        return Hunk(
            int(match[1]),
            int(match[3]),
            heading,
            tuple(
                _NO_NEWLINE if line[:1] == b"\\" else b" " + line if line in (b"", b"\r") else line for line in lines
            ),
        )

    def _counted(self, old: int, new: int) -> int | None:
        """Where the hunk ends by its header, or None if its lines are other ones."""
        at = self._at
        while old > 0 or new > 0:
            sign = self._lines[at][:1] if at < len(self._lines) else b"?"
            last = at == len(self._lines) - 1 and not self._lines[at]  # no line, but what follows the last line feed
            if last or sign not in (b"", b" ", b"\r", b"+", b"-", b"\\"):
                return None
            old -= sign not in (b"+", b"\\")
            new -= sign not in (b"-", b"\\")
            at += 1
        if old or new:
            return None
        return at + 1 if at < len(self._lines) and self._lines[at][:1] == b"\\" else at

    def _inspected(self) -> int:
        """Where the hunk ends by its lines."""
        at = self._at
        while at < len(self._lines) and self._lines[at][:1] in (b"", b" ", b"\r", b"+", b"-", b"\\"):
            if self._is_file_header(at) or self._lines[at].rstrip() == b"--":
                break
            at += 1
        while at > self._at and not self._lines[at - 1].rstrip(b"\r"):
            at -= 1
        return at

    def _mended(self, lines: list[bytes], old: int, new: int) -> list[bytes]:
        """The lines, with blank ones at the end where a harness stripped them, or as they are, counted anew."""
        old_found, new_found = _count(lines)
        missing = old - old_found
        if missing == new - new_found and missing > 0:
            self._note(f"the last {missing} lines of a hunk were stripped")
            self._diff.stripped.append(self._at)
            return [*lines, *[b" "] * missing] if self._fill else lines
        self._note("lines of a hunk counted anew, since its header counts others")
        return lines

    def _is_file_header(self, at: int) -> bool:
        if at + 1 >= len(self._lines) or not self._lines[at].startswith(b"--- "):
            return False
        if not self._lines[at + 1].startswith(b"+++ "):
            return False
        return at + 2 >= len(self._lines) or self._lines[at + 2][:3] in (b"@@ ", b"", b"\r", b"dif")

    def _line(self) -> bytes:
        return self._lines[self._at].rstrip(b"\r") if self._at < len(self._lines) else b""

    def _take(self) -> bytes:
        line = self._line()
        self._at += 1
        return line

    def _note(self, text: str) -> None:
        if text not in self._diff.notes:
            self._diff.notes.append(text)


def _count(lines: list[bytes] | tuple[bytes, ...]) -> tuple[int, int]:
    signs = [line[:1] for line in lines]
    return sum(sign not in (b"+", b"\\") for sign in signs), sum(sign not in (b"-", b"\\") for sign in signs)


def _ended(line: bytes, end: bytes) -> bytes:
    return line if line[:1] == b"\\" else line.rstrip(b"\r") + end


def _same_twice(head: bytes) -> bool:
    names = head.removeprefix(b"diff --git ")
    half, odd = divmod(len(names), 2)
    return bool(odd) and names[:half] == names[half + 1 :] and names[half : half + 1] == b" "


def _made_or_removed(head: list[bytes], hunks: tuple[Hunk, ...]) -> list[bytes]:
    """The headers of git's own form with what it wants to see of a new or a removed file, and models leave out."""
    if len(hunks) != 1 or head[-1][:4] != b"+++ " or head[-2][:4] != b"--- ":
        return head
    old, new = _count(hunks[0].lines)
    no_old, no_new = (_NOTHING.fullmatch(line) is not None for line in head[-2:])
    made = any(line.startswith(b"new file mode ") for line in head)
    removed = any(line.startswith(b"deleted file mode ") for line in head)
    if not removed and not old and (made or no_old or not hunks[0].old_start):
        mode = [] if made else [b"new file mode 100644"]
        return [head[0], *mode, *head[1:-2], b"--- /dev/null", head[-1]]
    if not made and not new and (removed or no_new):
        mode = [] if removed else [b"deleted file mode 100644"]
        return [head[0], *mode, *head[1:-2], head[-2], b"+++ /dev/null"]
    return head


def _shown(line: bytes) -> str:
    return line[:200].decode("utf-8", "backslashreplace")
