"""How much a change looks like an optimisation, without asking a model.

The score is a sum of named features, so that a ranking can be argued with: each is present or not, and has one weight.
`score_words` finds those of the title and the message, `score_code` those of the diff and of the files touched. A title
that speaks of speed weighs most; without such a title the features of the diff decide.

The weights were fitted (logistic regression, signs fixed beforehand) on half of the labelled changes in
`tests/benchmarks/labels`, then rounded; docs/measures/mining.md says how well they rank the other half. Scores of
different versions of this file do not compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tasks.mining.git.diff_parser import Change, FileDiff
from tasks.mining.ranking.diff_features import code_features
from tasks.mining.ranking.message_features import word_features

WEIGHTS: dict[str, tuple[float, str]] = {
    # title: of a commit or a pull request, and of the commits inside a merge
    "perf type": (2.0, "The title is of the type `perf:`, `PERF:`."),
    "keyword in title": (2.2, "The title holds one of the configured keywords."),
    "keyword in message": (1.0, "Only the rest of the message does, or a commit inside the merge."),
    "speed in title": (2.0, "The title says faster, speed, slow, performance, quadratic."),
    "hardware in title": (1.5, "SIMD and its instruction sets, unrolling, fusing, kernels, threads."),
    "saving in title": (0.7, "Avoid, skip, reduce, reuse, lazy, once, cheaper, unnecessary, in place."),
    "cost in title": (0.6, "Copies, allocations, memory, overhead, calls, lookups, buffers, loops."),
    "improvement in title": (0.9, "Improve, better, an algorithm or a variant of one, rewritten."),
    "native in title": (0.7, "Into C, Cython, Rust or a ufunc."),
    "fix in title": (-0.9, "Fix, bug, and nothing of speed or savings: repairs results."),
    "addition in title": (-0.6, "Add, support, allow, implement: something new."),
    "housekeeping in title": (-1.1, "Documentation, tests, typing, releases, renames, deprecations."),
    # the rest of the message
    "measured gain": (1.5, 'A figure that compares: "2.3x", "40 % faster", "from 49 ms to 32 ms", timings in a table.'),
    "complexity": (1.2, '"O(n)", linear, quadratic, constant time.'),
    "benchmark in message": (0.5, "Benchmarks, profiles, hot paths."),
    # the code
    "caching added": (0.6, "More caches, memos and cached properties than before."),
    "loops removed": (0.5, "Fewer loops than before."),
    "vectorised": (0.5, "Fewer loops, more calls of array libraries."),
    "copies avoided": (0.5, "Fewer copies and conversions to lists, tuples, dictionaries."),
    "container swapped": (0.5, "Sets, deques, heaps, bisection or itertools take something's place."),
    "lists avoided": (0.3, "Fewer lists built only to be consumed."),
    "slots added": (0.5, "`__slots__`."),
    "name bound": (0.4, "An attribute is bound to a name, as one does before a loop."),
    "early exit": (0.5, "More returns, breaks, continues."),
    "buffers": (0.5, "Views, byte arrays, preallocated output, compiled patterns."),
    "intrinsics": (1.0, "Vector instructions, prefetching, threads without the interpreter lock."),
    "speed in code": (1.1, "New lines, comments mostly, speak of fast paths, speed or cost."),
    "definitions added": (-0.3, "More functions and classes than before."),
    "errors added": (-0.5, "More exceptions and warnings than before."),
    "nothing replaced": (-1.0, "No line of code was removed."),
    # the files
    "benchmarks touched": (1.0, "The project's own benchmarks changed with the code."),
    "performance note": (1.5, "A file whose name speaks of performance, such as a release note."),
    "compiled code touched": (0.3, "C, C++, Cython, CUDA, Rust."),
    "large change": (-0.5, "More than 400 lines of code."),
    "many files": (-0.5, "More than 8 files of code."),
    "new file": (-0.4, "A file of code was added."),
}


@dataclass
class Score:
    """The sum and its features."""

    value: float = 0.0
    features: list[str] = field(default_factory=list)

    def add(self, names: Iterable[str]) -> None:
        """Count features of the table; the largest weight is named first."""
        found = sorted(((WEIGHTS[name][0], name) for name in names), key=lambda pair: (-abs(pair[0]), pair[1]))
        self.features += [f"{weight:+g} {name}" for weight, name in found]
        self.value = round(self.value + sum(weight for weight, _ in found), 2)


def features_of(
    change: Change,
    title: str,
    inner_titles: Sequence[str],
    *,
    keyword_in_title: bool,
    keyword_in_message: bool,
    code: Sequence[FileDiff],
    benchmarks_touched: bool,
) -> list[str]:
    """Names of the features that a change has. `keyword_in_message` covers the titles of inner commits."""
    names = []
    if keyword_in_title:
        names.append("keyword in title")
    elif keyword_in_message:
        names.append("keyword in message")
    if benchmarks_touched:
        names.append("benchmarks touched")
    return names + word_features(title, inner_titles, change) + code_features(code)
