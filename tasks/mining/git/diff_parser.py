"""Parses the bytes of `git log --raw -p` as they arrive: a change is a commit with its diff to the first parent.

Mining keeps byte readers of its own (here, `functions/changed.py`, `functions/patch_id.py`): every change of a history
goes through them, git itself wrote each one, and `tasks.code.diffs.read_diff` takes 3 to 6 times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from git.diff import decode_path

from tasks.mining.git.process import GitFailed

FORMAT = "tformat:%x00%H%x00%P%x00%at%x00%an%x00%ae%x00%s%x00%B%x1e%x00"
"""One record starts with NUL at the start of a line. Nothing else can: a line of a diff starts with a sign or a letter,
a message holds no NUL, and the character after it keeps its last line apart from the NUL that follows."""
MAX_RECORD_BYTES = 8 << 20
"""Of one change's record that is kept in memory; the rest is read and dropped."""

_HEADER = re.compile(rb"^--- .*\n\+\+\+ .*\n@@ -", re.MULTILINE)
SUBMODULE = "160000"
NO_BLOB = "0" * 40


@dataclass(slots=True)
class FileDiff:
    """One file of a change. Not frozen: a long history has many, and a frozen one takes three times as long."""

    status: str
    """git's letter: A, M, D, T, R (renamed)."""
    path: str
    """After the change; before it, for a deleted file."""
    old_path: str
    old_oid: str
    """Blob before; zeros if there was none."""
    new_oid: str
    old_mode: str
    new_mode: str
    body: bytes
    """The file's part of the patch, ending with a line feed."""
    _counted: tuple[int, int] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def is_submodule(self) -> bool:
        """Whether a submodule moved: there is no file to read."""
        return SUBMODULE in (self.old_mode, self.new_mode)

    @property
    def is_binary(self) -> bool:
        """Whether git printed no text for it."""
        return b"\nBinary files " in self.body

    def line_counts(self) -> tuple[int, int]:
        """Added and deleted lines; counted once."""
        if self._counted is None:
            counts = (0, 0)
            if b"\n@@ -" in self.body:
                headers = len(_HEADER.findall(self.body)) if self.status == "T" else 1
                counts = (self.body.count(b"\n+") - headers, self.body.count(b"\n-") - headers)
            self._counted = counts
            return counts
        return self._counted


@dataclass
class Change:
    """One step of the first-parent history."""

    sha: str
    parents: list[str]
    author_date: datetime
    author: str
    email: str
    subject: str
    message: str
    files: list[FileDiff] = field(default_factory=list)
    diff_bytes: int = 0
    truncated: bool = False
    """The diff was longer than `MAX_RECORD_BYTES`: `files` lacks what came after."""
    problem: str = ""
    """Why there is no diff, e.g. a missing object."""


class RecordSplitter:
    """Cuts a stream of bytes into records, whatever the chunks, with bounded memory."""

    def __init__(self, limit: int = MAX_RECORD_BYTES) -> None:
        self._limit = limit
        self._carry = b"\n"  # the first record starts like the others
        self._pieces: list[bytes] = []
        self._kept = 0
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, int]]:
        """Records that end in this chunk: their bytes, cut at the limit, and their true size."""
        data = self._carry + chunk
        start = 0
        while (at := data.find(b"\n\0", start)) >= 0:
            self._add(data[start : at + 1])
            yield from self._take()
            start = at + 2
        rest = data[start:]
        # a line feed at the end may be the first half of a separator
        self._carry = b"\n" if rest.endswith(b"\n") else b""
        self._add(rest[: len(rest) - len(self._carry)])

    def end(self) -> Iterator[tuple[bytes, int]]:
        """The last record."""
        self._add(self._carry)
        self._carry = b""
        yield from self._take()

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        room = self._limit - self._kept
        if room > 0 and piece:
            self._pieces.append(piece[:room])
            self._kept += min(room, len(piece))

    def _take(self) -> Iterator[tuple[bytes, int]]:
        record, size = b"".join(self._pieces), self._size
        self._pieces, self._kept, self._size = [], 0, 0
        if record.strip(b"\n"):
            yield record, size


def split_records(chunks: Iterable[bytes], limit: int = MAX_RECORD_BYTES) -> Iterator[tuple[bytes, int]]:
    """Records of a whole stream. Where git ends with an error, the last record comes before the error."""
    splitter = RecordSplitter(limit)
    failure: GitFailed | None = None
    try:
        for chunk in chunks:
            yield from splitter.feed(chunk)
    except GitFailed as error:
        failure = error
    yield from splitter.end()
    if failure is not None:
        raise failure


def parse_change(record: bytes, size: int | None = None) -> Change:
    """A change from its record. Text that is not UTF-8 is read with replacement characters, never refused."""
    fields = record.split(b"\0", 7)
    fields += [b""] * (8 - len(fields))
    sha, parents, date, author, email, subject, message, rest = fields
    truncated = size is not None and size > len(record)
    return Change(
        sha=sha.decode("ascii", "replace"),
        parents=parents.decode("ascii", "replace").split(),
        author_date=read_date(date),
        author=_text(author),
        email=_text(email),
        subject=_text(subject),
        message=_text(message.removesuffix(b"\x1e")).strip("\n"),
        files=parse_diff(rest, truncated=truncated),
        diff_bytes=size - (len(record) - len(rest)) if size is not None else len(rest),
        truncated=truncated,
    )


def parse_diff(rest: bytes, *, truncated: bool = False) -> list[FileDiff]:
    """Files from `--raw -p`: the raw lines name the files, the patch's parts follow in the same order."""
    raw, found, patch = rest.partition(b"\ndiff --git ")
    bodies = patch.split(b"\ndiff --git ") if found else []
    if truncated and bodies:
        bodies.pop()  # cut in the middle
    files, at = [], 0
    for line in raw.split(b"\n"):
        if not line.startswith(b":"):
            continue
        head, _, names = line.partition(b"\t")
        old_mode, new_mode, old_oid, new_oid, status = head[1:].decode("ascii").split(" ")
        first, _, second = names.partition(b"\t")
        old_path = _path(first)
        # git prints a change of type (file, link, submodule) as a removal and an addition
        parts = 2 if status.startswith("T") else 1
        body = b"".join([b"diff --git %b\n" % part.rstrip(b"\n") for part in bodies[at : at + parts]])
        at += parts
        files.append(
            FileDiff(
                status=status[0],
                path=_path(second) if second else old_path,
                old_path=old_path,
                old_oid=old_oid,
                new_oid=new_oid,
                old_mode=old_mode,
                new_mode=new_mode,
                body=body,
            )
        )
    return files


def _path(name: bytes) -> str:
    if name.startswith(b'"'):
        name = decode_path(name, has_ab_prefix=False) or name
    return _text(name)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def read_date(seconds: bytes) -> datetime:
    """The date that git prints as seconds since the epoch."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)  # git itself shows a broken date as the epoch
