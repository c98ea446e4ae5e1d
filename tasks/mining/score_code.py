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
    """A pattern of code. Most texts hold none of its literals, and looking for those first is much cheaper."""

    def __init__(self, pattern: str, *literals: str) -> None:
        self._pattern = re.compile(pattern.encode(), re.MULTILINE)
        self._literals = [literal.encode() for literal in literals]

    def count(self, text: bytes) -> int:
        return len(self._pattern.findall(text)) if any(literal in text for literal in self._literals) else 0


class _Literals:
    """Literals that are counted as they stand: a byte search is several times faster than any pattern."""

    def __init__(self, *literals: str) -> None:
        self._literals = [literal.encode() for literal in literals]

    def count(self, text: bytes) -> int:
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


def code_features(code: Sequence[FileDiff]) -> list[str]:
    """Features of the files of code: what there is more of, or less, than before."""
    plus, minus, lines = _sides(code)

    def more(pattern: _Code | _Literals) -> int:
        return pattern.count(plus) - pattern.count(minus)

    loops = more(_LOOP)
    found = {
        "caching added": more(_CACHE) > 0,
        "loops removed": loops < 0,
        "vectorised": loops < 0 and more(_VECTOR) > 0,
        "copies avoided": more(_COPY) < 0,
        "container swapped": bool(minus) and more(_CONTAINER) > 0,
        "lists avoided": more(_LISTS) < 0,
        "slots added": more(_SLOTS) > 0,
        "name bound": bool(minus) and more(_BINDING) > 0,
        "early exit": more(_EARLY) > 0,
        "buffers": bool(minus) and more(_BUFFER) > 0,
        "intrinsics": more(_INTRINSICS) > 0,
        "speed in code": _SPEED.count(plus.lower()) > _SPEED.count(minus.lower()),
        "definitions added": more(_DEFINITION) > 0,
        "errors added": more(_ERROR) > 0,
        "nothing replaced": not minus.strip(),
        "compiled code touched": any(strip_template(file.path).endswith(COMPILED) for file in code),
        "large change": lines > LARGE_LINES,
        "many files": len(code) > MANY_FILES,
        "new file": any(file.status == "A" for file in code),
    }
    return [name for name, holds in found.items() if holds]


def _sides(code: Sequence[FileDiff]) -> tuple[bytes, bytes, int]:
    """Added and removed lines, each as one text, and their number."""
    added: list[bytes] = []
    removed: list[bytes] = []
    for file in code:
        for line in file.body.split(b"\n"):
            if len(line) > MAX_LINE:
                continue
            if line.startswith(b"+") and not line.startswith(b"+++ "):
                added.append(line[1:])
            elif line.startswith(b"-") and not line.startswith(b"--- "):
                removed.append(line[1:])
    return b"\n".join(added)[:MAX_SIDE], b"\n".join(removed)[:MAX_SIDE], len(added) + len(removed)
