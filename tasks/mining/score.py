"""How much a change looks like an optimisation, without asking a model.

The score is a sum of named features, so that a ranking can be argued with. From the message: a performance word (in the
subject it weighs twice), a measured gain ("2.3x", "40 % faster", "12 ms"), a complexity ("O(n)"), talk of benchmarks.
From the code lines of the diff: a cache appears, loops disappear, numpy calls take their place, copies disappear, a
list becomes a set, a deque or a generator, attributes become slots, names are bound outside of loops, work returns
early. From the files: the project's own benchmarks or compiled code are touched. Large changes and new files lose: an
optimisation is usually small and in old code. Weights are set by hand; scores of different versions of this file do not
compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.mining.changes import FileDiff

_UNITS = r"(?:ms|µs|us|ns|seconds|sec|min(?:utes)?)"
_GAIN = re.compile(
    rf"\b\d+(?:\.\d+)?\s?x\b|\b\d+(?:\.\d+)?\s?%|\bby (?:a factor|half)\b|\b\d+(?:\.\d+)?\s?{_UNITS}\b|"
    r"\btimes (?:faster|as fast)\b",
    re.IGNORECASE,
)
_COMPLEXITY = re.compile(r"\bO\([^)\n]{1,30}\)|\b(?:linear|constant|quadratic|logarithmic|amortized)\b", re.IGNORECASE)
_BENCHMARK = re.compile(
    r"\b(?:benchmark\w*|timeit|profil(?:e|ed|er|ing)|hot ?spots?|hot (?:path|loop)s?)\b", re.IGNORECASE
)
_COMPILED = (".c", ".cc", ".cpp", ".cu", ".cuh", ".pyx", ".rs", ".h", ".hpp")


MAX_LINE = 300
"""Bytes of a line that is still code; longer ones are data, and slow to search."""


class _Code:
    """A pattern of code. Most texts hold none of its literals, and looking for those first is much cheaper."""

    def __init__(self, pattern: str, *literals: str) -> None:
        self._pattern = re.compile(pattern.encode(), re.MULTILINE)
        self._literals = [literal.encode() for literal in literals]

    def count(self, text: bytes) -> int:
        return len(self._pattern.findall(text)) if any(literal in text for literal in self._literals) else 0


_LOOP = _Code(r"\bwhile\b|\bfor\b.+\bin\b", "while", "for ")
_CACHE = _Code(
    r"lru_cache|cached_property|functools\.cache\b|@cache\b|\bmemo|_cache\b|\bcache\[|\bcached\b", "cache", "memo"
)
_VECTOR = _Code(
    r"\b(?:np|numpy|torch|pd)\.\w+\(|\.(?:sum|dot|cumsum|reshape|take|where)\(", "np.", "numpy.", "torch.", "pd."
)
_COPY = _Code(
    r"\.copy\(\)|deepcopy\(|\blist\(|\btuple\(|\bdict\(|\.tolist\(\)|\bsorted\(",
    "copy", "list(", "tuple(", "dict(", "sorted(",
)  # fmt: skip
_CONTAINER = _Code(
    r"\bset\(|frozenset\(|\bdeque\(|\bbisect|\bheapq?\.|defaultdict\(|\bCounter\(|\bislice\(|\bchain\b|\bitemgetter\(",
    "set(", "deque(", "bisect", "heap", "defaultdict(", "Counter(", "islice(", "chain", "itemgetter(",
)  # fmt: skip
_LISTS = _Code(
    r"\b(?:any|all|sum|join|max|min|set|sorted)\(\[|\.keys\(\)|\[\s*\w.* for \w.* in ", "([", ".keys()", " for "
)
_SLOTS = _Code(r"__slots__|slots=True", "slots")
_EARLY = _Code(r"^[ \t]*(?:return|continue|break)\b", "return", "continue", "break")
_BINDING = _Code(r"^[ \t]*_?(\w+) = (?:self|\w+)\.\w+$", " = ")


@dataclass
class Score:
    """A number and what it is made of."""

    value: float = 0.0
    features: list[str] = field(default_factory=list)

    def add(self, weight: float, what: str) -> None:
        """Count one feature."""
        self.value += weight
        self.features.append(f"{weight:+g} {what}")


def score_message(score: Score, keyword_in_subject: str | None, keyword_in_message: str | None, message: str) -> None:
    """Features of the message."""
    if keyword_in_subject:
        score.add(2, "keyword in subject")
    elif keyword_in_message:
        score.add(1, "keyword in message")
    keyword = keyword_in_subject or keyword_in_message
    if keyword and _GAIN.search(message):
        score.add(1.5, "measured gain in message")
    if _COMPLEXITY.search(message):
        score.add(1, "complexity in message")
    if _BENCHMARK.search(message):
        score.add(0.5, "benchmark in message")


def score_diff(score: Score, code: Sequence[FileDiff], benchmarks_touched: bool) -> None:
    """Features of the code's diff and of the files."""
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
    plus, minus = b"\n".join(added), b"\n".join(removed)

    def more(pattern: _Code) -> int:
        return pattern.count(plus) - pattern.count(minus)

    loops = more(_LOOP)
    features = (
        (1.5, "caching added", more(_CACHE) > 0),
        (1, "loops removed", loops < 0),
        (1, "vectorised", loops < 0 and more(_VECTOR) > 0),
        (1, "copies avoided", more(_COPY) < 0),
        (0.5, "data structure or iterator swapped", bool(minus) and more(_CONTAINER) > 0),
        (0.5, "lists avoided", more(_LISTS) < 0),
        (1, "slots added", more(_SLOTS) > 0),
        (0.25, "attribute bound to a name", more(_BINDING) > 0),
        (0.25, "early exit added", more(_EARLY) > 0),
        (1.5, "benchmarks touched", benchmarks_touched),
        (0.5, "compiled code touched", any(file.path.endswith(_COMPILED) for file in code)),
        (-1, "nothing replaced", not minus.strip()),
        (-1, "large change", len(added) + len(removed) > 400),
        (-0.5, "new file", any(file.status == "A" for file in code)),
    )
    for weight, what, holds in features:
        if holds:
            score.add(weight, what)
