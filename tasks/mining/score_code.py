"""What a diff does to the code: names of features, see `tasks.mining.score.WEIGHTS`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.mining.changes import FileDiff
from tasks.mining.paths import strip_template

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
        self._literals = [literal.encode() for literal in literals]

    def count(self, text: bytes) -> int:
        """Matches in the text."""
        places: list[int] = []
        for literal in self._literals:
            at = text.find(literal)
            while at >= 0:
                places.append(at)
                at = text.find(literal, at + len(literal))
        return len(self._pattern.findall(_lines_with(text, places))) if places else 0


class _Literals:
    """Literals that are counted as they stand: a byte search is several times faster than any pattern."""

    def __init__(self, *literals: str) -> None:
        self._literals = [literal.encode() for literal in literals]

    def count(self, text: bytes) -> int:
        """Literals in the text."""
        return sum(map(text.count, self._literals))


_LOOP = _Code(r"\bwhile\b|\bfor\b.+\bin\b|\bfor ?\(", "while", "for ", "for(")
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
_LISTS = _Code(
    r"\b(?:any|all|sum|join|max|min|set|sorted)\(\[|\.keys\(\)|\[\s*\w.* for \w.* in ", "([", ".keys()", " for "
)
_SLOTS = _Literals("__slots__", "slots=True")
_EARLY = _Code(r"^[ \t]*(?:return|continue|break)\b", "return", "continue", "break")
_BINDING = _Code(r"^[ \t]*_?(\w+) = (?:self|\w+)\.\w+$", " = ")
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


def code_features(code: Sequence[FileDiff]) -> list[str]:
    """Features of the files of code: what there is more of, or less, than before."""
    plus, minus, lines = _sides(code)
    more = {name: kind.count(plus) - kind.count(minus) for name, kind in _GROUPS.items()}
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
        "speed in code": _SPEED.count(plus.lower()) > _SPEED.count(minus.lower()),
        "definitions added": more["definition"] > 0,
        "errors added": more["error"] > 0,
        "nothing replaced": not minus.strip(),
        "compiled code touched": any(strip_template(file.path).endswith(COMPILED) for file in code),
        "large change": lines > LARGE_LINES,
        "many files": len(code) > MANY_FILES,
        "new file": any(file.status == "A" for file in code),
    }
    return [name for name, holds in found.items() if holds]


def _lines_with(text: bytes, places: Sequence[int]) -> bytes:
    """The lines that hold one of the places, and what stands before them where it ends with a bracket."""
    parts: list[bytes] = []
    done = -1
    for place in sorted(places):
        if place < done:
            continue
        start = text.rfind(b"\n", 0, place) + 1
        while text[max(0, start - 8) : start].rstrip().endswith(b"["):
            start = text.rfind(b"\n", 0, start - 1) + 1
        done = text.find(b"\n", place)
        done = len(text) if done < 0 else done
        parts.append(text[start:done])
    return b"\n\0\n".join(parts)


_ADDED = re.compile(rb"\n\+(?!\+\+ )([^\n]*)")
_REMOVED = re.compile(rb"\n-(?!-- )([^\n]*)")


def _sides(code: Sequence[FileDiff]) -> tuple[bytes, bytes, int]:
    """Added and removed lines, each as one text, and their number."""
    added: list[bytes] = []
    removed: list[bytes] = []
    for file in code:
        added += [line for line in _ADDED.findall(file.body) if len(line) < MAX_LINE]
        removed += [line for line in _REMOVED.findall(file.body) if len(line) < MAX_LINE]
    return b"\n".join(added)[:MAX_SIDE], b"\n".join(removed)[:MAX_SIDE], len(added) + len(removed)
