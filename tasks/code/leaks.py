"""Does a text tell how the human made the code faster? What is given to agents is compared with the human's diff.

Both are read as streams of code tokens in which layout does not exist: blanks, line breaks, commas, parentheses,
quotes, Markdown and the signs that begin its lists are left out, so a line that was reformatted, split or joined is
still found. Found are

- added lines, word for word or with other names for its variables (`line`),
- runs of `NGRAM` tokens of the added code, or of `SHAPE` tokens with other names (`tokens`),
- runs of `NAMES` identifiers of the added statements, whatever stands between them (`names`),
- names that only the added code has: what it imports and names like `bucket_of` anywhere, plain words like `cache`
  where the text writes them as code (`name`).

What base shows anyhow (removed lines, lines around, `known` texts) is no leak.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Literal

from tasks.code.edits import read_text, text_of

NGRAM = 7
SHAPE = 12
NAMES = 4
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.]*|[^\w\s,()\"'`\\;#+*>-]")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+)?import\s+(.+)$|^\s*(?:use|#include)\s+(.+)$", re.MULTILINE)
_STATEMENT = re.compile(r"[=\[(]|\w\.\w")
_SEGMENT = re.compile(r"[^\n]*?(?:[.!?](?=\s)|\n|$)[ \t]*", re.MULTILINE)
_FIXED = frozenset(
    [*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls", "const", "static", "auto", "let", "mut", "fn",
     "void", "int", "char", "double", "struct", "template", "inline"]
)  # fmt: skip
_SEPARATOR, _ANY = "\x00", "\x01"


@dataclass(frozen=True)
class Leak:
    """A place of the text that gives something away."""

    kind: Literal["line", "tokens", "names", "name"]
    start: int
    end: int
    what: str
    """The added line, or the name."""


@dataclass(frozen=True)
class LeakReport:
    """What a text gives away."""

    lines_added: int
    """Added lines that say something (at least four tokens, two of them names) and that base does not have."""
    lines_leaked: int
    leaks: list[Leak] = field(default_factory=list)
    places: frozenset[tuple[int, int]] = frozenset()
    """Which of the added lines are in the text (run of added lines, line of it), so that texts can be joined."""

    @property
    def rate(self) -> float:
        """Share of the added lines that are in the text, from 0 to 1."""
        return self.lines_leaked / self.lines_added if self.lines_added else 0.0

    @property
    def names(self) -> list[str]:
        """Names of the added code that the text uses."""
        return sorted({leak.what for leak in self.leaks if leak.kind == "name"})


class _Stream:
    """The code tokens of a text, and where each stands."""

    def __init__(self, text: str) -> None:
        found = list(_TOKEN.finditer(text))
        self.tokens = [match[0] for match in found]
        self.spans = [match.span() for match in found]

    @cached_property
    def names(self) -> list[int]:
        """Positions of identifiers."""
        return [at for at, token in enumerate(self.tokens) if token[0].isalpha() or token[0] == "_"]

    @cached_property
    def joined(self) -> str:
        return _joined(self.tokens)

    @cached_property
    def skeleton(self) -> str:
        return _joined(_skeleton(self.tokens))

    def places(self, wanted: Sequence[str], joined: str) -> Iterator[int]:
        """Where `wanted` begins in a joined form of this stream."""
        needle = _joined(wanted)
        at = joined.find(needle)
        while at != -1:
            yield joined.count(_SEPARATOR, 0, at)
            at = joined.find(needle, at + 1)

    def renamed(self, wanted: Sequence[str]) -> Iterator[int]:
        """Where the same code begins with other names for its variables."""
        for at in self.places(_skeleton(wanted), self.skeleton):
            found = self.tokens[at : at + len(wanted)]
            pairs = set(zip(wanted, found, strict=True))
            if len({old for old, _ in pairs}) == len(pairs) == len({new for _, new in pairs}):
                yield at

    @cached_property
    def own_names(self) -> set[str]:
        """Identifiers without keywords and builtins."""
        return {self.tokens[at] for at in self.names} - _FIXED

    @cached_property
    def name_runs(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """All runs of `NAMES` identifiers (no keywords, no builtins), with the first token and the last of one."""
        own = [at for at in self.names if self.tokens[at] not in _FIXED]
        groups = [own[at : at + NAMES] for at in range(len(own) - NAMES + 1)]
        return {tuple(self.tokens[at] for at in group): (group[0], group[-1]) for group in groups}


def find_leaks(text: str, patch: str, known: Sequence[str] = ()) -> LeakReport:
    """Compare a text with a unified diff. `known` are texts that whoever reads it has anyhow: base code, perf tests."""
    blocks, base_text = _sides(patch)
    base = _Stream("\n".join([base_text, *known]))
    stream = _Stream(text)
    telling = {line for block in blocks for line in block if _is_telling(line, base)}
    leaks: list[Leak] = []
    count = 0
    places: set[tuple[int, int]] = set()
    for at, block in enumerate(blocks):
        lines = [(line, _Stream(line).tokens) for line in block]
        found = [*_whole_lines(lines, telling, stream, base), *_parts(lines, stream, base)]
        leaks += [leak for leak, _ in found]
        hit = {number for _, numbers in found for number in numbers}
        count += sum(line in telling for line in block)
        places |= {(at, number) for number, line in enumerate(block) if line in telling and number in hit}
        leaks += _name_runs(block, stream, base)
    ours = {name for block in blocks for name in _Stream("\n".join(block)).own_names}
    leaks += _names(text, stream, ours - base.own_names, _imported(blocks))
    return LeakReport(count, len(places), sorted(leaks, key=lambda leak: leak.start), frozenset(places))


class GivesAway(ValueError):
    """A text for agents tells how the human did it; `report` says where."""

    def __init__(self, report: LeakReport) -> None:
        parts = "; ".join(dict.fromkeys(leak.what.strip() for leak in report.leaks[:5]))
        super().__init__(f"it gives away {report.lines_leaked} of {report.lines_added} added lines: {parts}")
        self.report = report


def must_not_leak(text: str, patch: str, known: Sequence[str] = ()) -> LeakReport:
    """What every text must pass before an agent sees it: problem statements, and prompts that are made of them.

    Returns the report, whose rate is then 0. Raises GivesAway if there is any leak, also one of names only.
    """
    report = find_leaks(text, patch, known)
    if report.leaks:
        raise GivesAway(report)
    return report


def cut_leaks(text: str, patch: str, known: Sequence[str] = ()) -> tuple[str, int]:
    """(the text without the sentences and lines that leak, how many were cut). What is left has no leak."""
    cut = 0
    while leaks := find_leaks(text, patch, known).leaks:
        segments = [match.span() for match in _SEGMENT.finditer(text) if match.end() > match.start()]
        bad = {it for it in segments if any(leak.start < it[1] and it[0] < leak.end for leak in leaks)}
        text = "".join(text[start:end] for start, end in segments if (start, end) not in bad)
        text = re.sub(r"```\w*\n\s*```\n?", "", re.sub(r"\n{3,}", "\n\n", text)).strip()
        cut += len(bad)
    return text, cut


def _sides(patch: str) -> tuple[list[list[str]], str]:
    """(runs of added lines, everything else that the diff shows: removed lines, context, paths)."""
    blocks: list[list[str]] = []
    base: list[str] = []
    for section in read_text(patch).sections:
        base += map(text_of, section.head)
        for hunk in section.hunks:
            base.append(text_of(hunk.heading))
            for added, lines in groupby(hunk.lines, lambda line: line.startswith(b"+")):
                texts = [text_of(line[1:]) for line in lines]
                if added:
                    blocks.append(texts)
                else:
                    base += texts
    return blocks, "\n".join(base)


_Lines = Sequence[tuple[str, list[str]]]
"""Added lines that follow one another, each with its tokens."""


def _whole_lines(lines: _Lines, telling: set[str], stream: _Stream, base: _Stream) -> Iterator[tuple[Leak, list[int]]]:
    for number, (line, _) in enumerate(lines):
        if line not in telling:
            continue
        tokens = _core(line)
        places = {*stream.places(tokens, stream.joined)}
        if _has_shape(tokens, 7) and not any(base.renamed(tokens)):
            places |= {*stream.renamed(tokens)}
        for at in places:
            yield _leak("line", stream, at, at + len(tokens) - 1, line.strip()), [number]


def _parts(lines: _Lines, stream: _Stream, base: _Stream) -> Iterator[tuple[Leak, list[int]]]:
    """Runs of tokens across lines: short ones word for word, longer ones with other names, too."""
    tokens = [token for _, found in lines for token in found]
    numbers = [number for number, (_, found) in enumerate(lines) for _ in found]
    for length in (NGRAM, SHAPE):
        for first in range(len(tokens) - length + 1):
            run = tokens[first : first + length]
            if length == NGRAM:
                places = [] if any(base.places(run, base.joined)) else [*stream.places(run, stream.joined)]
            else:
                places = [*stream.renamed(run)] if _has_shape(run, SHAPE) else []
                places = [] if places and any(base.renamed(run)) else places
            inside = numbers[first : first + length]
            covered = [number for number in {*inside} if inside.count(number) >= min(4, len(lines[number][1]))]
            for at in places:
                yield _leak("tokens", stream, at, at + length - 1, " ".join(run)), covered


def _name_runs(block: Sequence[str], stream: _Stream, base: _Stream) -> Iterator[Leak]:
    code = _Stream("\n".join(line.split("#")[0] for line in block if _STATEMENT.search(line)))
    in_text = stream.name_runs
    for run in (code.name_runs.keys() & in_text.keys()) - base.name_runs.keys():
        yield _leak("names", stream, *in_text[run], " ".join(run))


def _core(line: str) -> list[str]:
    """The tokens of a line without the colon at its end, which who quotes it leaves out."""
    tokens = _Stream(line).tokens
    return tokens[:-1] if tokens[-1:] == [":"] else tokens


def _is_telling(line: str, base: _Stream) -> bool:
    tokens = _core(line)
    names = {token for token in tokens if token not in _FIXED and (token[0].isalnum() or token[0] == "_")}
    return len(tokens) >= 4 and len(names) >= 2 and not any(base.places(tokens, base.joined))


def _has_shape(tokens: Sequence[str], least: int) -> bool:
    """Whether the code is recognisable without its names: English never looks like it."""
    return len(tokens) >= least and sum(not (token[0].isalnum() or token[0] == "_") for token in tokens) >= 3


def _skeleton(tokens: Sequence[str]) -> list[str]:
    """The tokens with a mark for every name that one may change: no keyword, no builtin, no attribute."""
    return [
        _ANY
        if (token[0].isalpha() or token[0] == "_") and token not in _FIXED and tokens[at - 1 : at] != ["."]
        else token
        for at, token in enumerate(tokens)
    ]


def _names(text: str, stream: _Stream, new: set[str], imported: set[str]) -> list[Leak]:
    code = [match.span() for match in _CODE.finditer(text)]
    found = []
    for at in stream.names:
        name, (start, end) = stream.tokens[at], stream.spans[at]
        written_as_code = any(low <= start and end <= high for low, high in code)
        if name in new and (name in imported or _looks_like_code(name) or (len(name) > 2 and written_as_code)):
            found.append(Leak("name", start, end, name))
    return found


def _imported(blocks: Sequence[Sequence[str]]) -> set[str]:
    return {
        name
        for block in blocks
        for groups in _IMPORT.findall("\n".join(block))
        for name in re.findall(r"[A-Za-z_]\w*", " ".join(groups))
    } - {"as", "import", "from"}


def _looks_like_code(name: str) -> bool:
    return "_" in name.strip("_") or any(char.isdigit() for char in name) or re.search(r"[a-z][A-Z]", name) is not None


def _leak(kind: Literal["line", "tokens", "names"], stream: _Stream, first: int, last: int, what: str) -> Leak:
    return Leak(kind, stream.spans[first][0], stream.spans[last][1], what)


def _joined(tokens: Sequence[str]) -> str:
    return _SEPARATOR + "".join(token + _SEPARATOR for token in tokens)
