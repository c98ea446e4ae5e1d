"""Features of a diff, by the names in `tasks.mining.ranking.score.WEIGHTS`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ahocorasick_rs import BytesAhoCorasick

from tasks.code.paths import strip_template
from tasks.mining.git.diff_parser import FileDiff

COMPILED = (".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".pyx", ".pxd", ".pxi", ".rs", ".h", ".hpp", ".inl")
MAX_LINE = 300
"""Bytes of a line that is still code; longer ones are data, and slow to search."""
MAX_SIDE = 1 << 19
"""Bytes of added and of removed lines that are looked at."""
LARGE_LINES = 400
MANY_FILES = 8


class _Code:
    """A pattern of code, looked for only on lines that hold one of the literals: most texts hold none."""

    def __init__(self, pattern: str, *literals: str) -> None:
        self._pattern = re.compile(pattern.encode(), re.MULTILINE)
        self.literals = [literal.encode() for literal in literals]

    def count(self, text: bytes, places: Sequence[int]) -> int:
        """Matches in the text, which has literals at these places."""
        return len(self._pattern.findall(_lines_with(text, places))) if places else 0


_IS_NAME = re.compile(rb"[ \t]*\w+")


def _is_first(text: bytes, place: int) -> bool:
    """Whether nothing but blanks and tabs stands before it on its line."""
    return not text[text.rfind(b"\n", 0, place) + 1 : place].strip(b" \t")


class _Starts(_Code):
    """A pattern of which each match begins with one of the literals: asked there and nowhere else."""

    def count(self, text: bytes, places: Sequence[int]) -> int:
        """Matches that do not overlap."""
        found = end = 0
        for place in places:
            if place >= end and (match := self._pattern.match(text, place)):
                found += 1
                end = match.end()
        return found


class _AfterBlank(_Starts):
    """The same, where nothing but white space stands before it on its line."""

    def count(self, text: bytes, places: Sequence[int]) -> int:
        return super().count(text, [place for place in places if _is_first(text, place)])


class _Binding(_Code):
    """`name = thing.attribute` and nothing else on the line; the literal stands in its middle."""

    def count(self, text: bytes, places: Sequence[int]) -> int:
        return sum(
            _IS_NAME.fullmatch(text, text.rfind(b"\n", 0, place) + 1, place) is not None
            for place in places
            if self._pattern.match(text, place)
        )


class _Comprehension(_Code):
    """Where a `for` is the first word of its line, only the lines above could have opened a bracket: not looked at."""

    def count(self, text: bytes, places: Sequence[int]) -> int:
        # the literal ` for ` begins with a blank of the indentation
        return super().count(text, [place for place in places if not _is_first(text, place + 1)])


class _Literals:
    """Literals that are counted as they stand."""

    def __init__(self, *literals: str) -> None:
        self.literals = [literal.encode() for literal in literals]

    def count(self, text: bytes, places: Sequence[int]) -> int:
        """How many there are."""
        return len(places)


_LOOP = _Starts(r"\bwhile\b|\bfor\b.+\bin\b|\bfor ?\(", "while", "for ", "for(")
_CACHE = _Code(
    r"lru_cache|cached_property|functools\.cache\b|@cache\b|\bmemo|_cache\b|\bcache\[|\bcached\b", "cache", "memo"
)
_VECTOR = _Code(
    r"\b(?:np|numpy|torch|pd)\.\w+\(|\.(?:sum|dot|cumsum|reshape|take|where)\(", "np.", "numpy.", "torch.", "pd."
)
_COPY = _Literals(
    ".copy()", "deepcopy(", " list(", "(list(", " tuple(", "(tuple(", " dict(", ".tolist()", "sorted(", ".clone(",
    "NewCopy(",
)  # fmt: skip
_CONTAINER = _Literals(
    " set(", "(set(", "frozenset(", "deque(", "bisect", "heapq", "defaultdict(", "Counter(", "islice(", "chain(",
    "chain.from", "itemgetter(",
)  # fmt: skip
_LISTS = _Comprehension(
    r"\b(?:any|all|sum|join|max|min|set|sorted)\(\[|\.keys\(\)|\[\s*\w.* for \w.* in ", "([", ".keys()", " for "
)
_SLOTS = _Literals("__slots__", "slots=True")
_EARLY = _AfterBlank(r"(?:return|continue|break)\b", "return", "continue", "break")
_BINDING = _Binding(r" = \w+\.\w+$", " = ")
_BUFFER = _Literals(
    "bytearray", "memoryview", "_into(", "empty(", "empty_like(", "out=", "re.compile(", "copy=False", "setdefault(",
    " iter(", "memcpy(",
)  # fmt: skip
_INTRINSICS = _Literals(
    "_mm_", "_mm256_", "_mm512_", "__m128", "__m256", "__m512", "npyv_", "vld1", "hn::", "#pragma omp", "prefetch",
    "nogil", "BEGIN_THREADS", "BEGIN_ALLOW_THREADS", "NPY_SIMD", "_SIMD_", "ThreadPool", "prange(",
)  # fmt: skip
_SPEED = _Literals(
    "fast", "speed", "performan", "slow", "efficien", "expensive", "overhead", "unnecessary", "redundant", "quadratic",
    "avoid", "cheap",
)  # fmt: skip
_DEFINITION = _Code(r"^[ \t]*(?:async )?(?:c?p?def|class) \w", "def ", "class ")
_ERROR = _Literals("raise ", "warnings.warn", "warn(", "PyErr_Set", "PyErr_Format", "DEPRECATE")


_GROUPS: dict[str, _Code | _Literals] = {
    "loop": _LOOP, "cache": _CACHE, "vector": _VECTOR, "copy": _COPY, "container": _CONTAINER, "lists": _LISTS,
    "slots": _SLOTS, "early": _EARLY, "binding": _BINDING, "buffer": _BUFFER, "intrinsics": _INTRINSICS,
    "definition": _DEFINITION, "error": _ERROR,
}  # fmt: skip


class _Counter:
    """Counts what several groups look for in one pass over a text, instead of one for each literal."""

    def __init__(self, groups: dict[str, _Code | _Literals]) -> None:
        self._groups = groups
        self._literals = sorted({literal for group in groups.values() for literal in group.literals})
        self._owners = [
            [name for name, group in groups.items() if literal in group.literals] for literal in self._literals
        ]
        self._search = BytesAhoCorasick(self._literals)

    def count(self, text: bytes) -> dict[str, int]:
        """How often each group is in the text."""
        counts = dict.fromkeys(self._groups, 0)
        matches = self._search.find_matches_as_indexes(text, overlapping=True)
        if not matches:
            return counts
        places: dict[str, list[int]] = {name: [] for name in self._groups}
        for literal, start, _ in matches:
            for name in self._owners[literal]:
                places[name].append(start)
        for name, found in places.items():
            if found:
                counts[name] = self._groups[name].count(text, found)
        return counts


_COUNTER = _Counter(_GROUPS)
_SPEED_COUNTER = _Counter({"speed": _SPEED})


def code_features(code: Sequence[FileDiff]) -> list[str]:
    """Features of the files of code: constructs that the diff adds or removes, on balance."""
    plus, minus, lines = _sides(code)
    before, after = _COUNTER.count(minus), _COUNTER.count(plus)
    more = {name: after[name] - before[name] for name in _GROUPS}
    found = {
        "caching added": more["cache"] > 0,
        "loops removed": more["loop"] < 0,
        "vectorised": more["loop"] < 0 and more["vector"] > 0,
        "copies avoided": more["copy"] < 0,
        "container swapped": bool(minus) and more["container"] > 0,
        "lists avoided": more["lists"] < 0,
        "slots added": more["slots"] > 0,
        "name bound": bool(minus) and more["binding"] > 0,
        "early exit": more["early"] > 0,
        "buffers": bool(minus) and more["buffer"] > 0,
        "intrinsics": more["intrinsics"] > 0,
        "speed in code": (speed := _speed(plus)) > 0 and speed > _speed(minus),
        "definitions added": more["definition"] > 0,
        "errors added": more["error"] > 0,
        "nothing replaced": not minus.strip(),
        "compiled code touched": any(strip_template(file.path).endswith(COMPILED) for file in code),
        "large change": lines > LARGE_LINES,
        "many files": len(code) > MANY_FILES,
        "new file": any(file.status == "A" for file in code),
    }
    return [name for name, holds in found.items() if holds]


def _speed(text: bytes) -> int:
    return _SPEED_COUNTER.count(text.lower())["speed"]


_MAY_OPEN = frozenset((b"[", b" ", b"\t", b"\r", b"\n"))
"""How a line ends that may end with a bracket; asking costs less than looking."""


def _lines_with(text: bytes, places: Sequence[int]) -> bytes:
    """The lines that hold one of the places (line by line), and what stands before where that ends with a bracket."""
    parts: list[bytes] = []
    done = -1
    for place in places:
        if place < done:
            continue
        start = text.rfind(b"\n", 0, place) + 1
        while text[start - 2 : start - 1] in _MAY_OPEN and text[max(0, start - 8) : start].rstrip().endswith(b"["):
            start = text.rfind(b"\n", 0, start - 1) + 1
        done = text.find(b"\n", place)
        done = len(text) if done < 0 else done
        parts.append(text[start:done])
    return b"\n\0\n".join(parts)


_ADDED = re.compile(rb"\n\+(?!\+\+ )([^\n]{0,%d})(?=\n)" % (MAX_LINE - 1))
_REMOVED = re.compile(rb"\n-(?!-- )([^\n]{0,%d})(?=\n)" % (MAX_LINE - 1))


def _sides(code: Sequence[FileDiff]) -> tuple[bytes, bytes, int]:
    """Added and removed lines, each as one text, and their number."""
    added: list[bytes] = []
    removed: list[bytes] = []
    for file in code:
        added += _ADDED.findall(file.body)
        removed += _REMOVED.findall(file.body)
    return b"\n".join(added)[:MAX_SIDE], b"\n".join(removed)[:MAX_SIDE], len(added) + len(removed)
