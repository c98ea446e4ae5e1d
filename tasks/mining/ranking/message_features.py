"""Features of the words of a change, by the names in `tasks.mining.ranking.score.WEIGHTS`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tasks.mining.git.diff_parser import Change
from tasks.mining.message import conventional_type, prose

_UNIT = r"(?:ms|msec|µs|μs|us|usec|ns|s|secs?|seconds|minutes)"
_GAIN = re.compile(
    rf"""
    \b\d+(?:\.\d+)?\s?[x×](?!\w|\.\w|\s?\d)         # 2.3x, but neither 0x1f nor 3 x 4
  | [~-]?\b\d+(?:\.\d+)?\s?%                       # 40 %
  | \bby\s(?:a\sfactor|half)\b | \b(?:times|twice)\s(?:as\s)?(?:fast|quick)
  | \b\d+(?:\.\d+)?\s?{_UNIT}\b.{{0,60}}?\b\d+(?:\.\d+)?\s?{_UNIT}\b   # from 49ms to 32ms
  | \b\d+(?:\.\d+)?\s?(?:ms|µs|μs|us|ns|usec|msec)\b
  | \bper\sloop\b
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_FIGURE = re.compile(rf"\d\s?(?:[x×%]|{_UNIT}\b)", re.IGNORECASE)
_COMPLEXITY = re.compile(
    r"\bO\([^)\n]{1,30}\)|\b(?:linear|constant|quadratic|logarithmic|exponential|amortized)[- ](?:time|complexity|"
    r"performance|behaviou?r|runtime|cost|lookups?)|\bquadratic\b|\btime complexity\b",
    re.IGNORECASE,
)
_BENCHMARK = re.compile(
    r"\b(?:benchmark\w*|timeit|timings?|profil(?:ed|er|ing)|asv|hot ?spots?|hot (?:path|loop|code)s?)\b", re.IGNORECASE
)
_HINTS = {
    "measured gain": ("factor", "half", "fast", "quick", "loop"),
    "complexity": ("o(", "linear", "constant", "quadratic", "logarithmic", "exponential", "amortized", "complexity"),
    "benchmark in message": ("benchmark", "timeit", "timing", "profil", "asv", "hot"),
}
"""Every match of these patterns holds one of the words, or (a gain) a `_FIGURE`: looking for those first is cheaper."""
_NOTE = re.compile(r"(?:^|[/._-])(?:perf|performance|speed|speedups?|optimi[sz]ations?)(?:[/._-]|$)", re.IGNORECASE)
_TRAILER = re.compile(r"^[A-Z][\w-]*-by: .*$", re.MULTILINE)


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?!\w)")  # of text in lower case, which is faster


_TITLE = {
    "speed in title": _words(
        r"fast(?:er|est)?|fast[- ]?path\w*|speed\w*|sped|quick(?:er|ly)?|slow(?:er|ness|down)?|slow[- ]path\w*|perf|"
        r"perform(?:ance|ant)|quadratic|linear[- ]time|constant[- ]time|o\(.{1,20}?\)|latency|throughput|"
        r"efficien(?:t|tly|cy)|optimi[sz](?:e|es|ed|ing|ations?)|bottlenecks?|expensive|accelerat\w+|hot[- ]?paths?"
    ),
    "hardware in title": _words(
        r"simd|avx\w*|sse\d*|neon|asimd|vsx\d?|vx|rvv|sve\d?|nyp?v|highway|intrinsics?|vectori[sz]\w*|unroll\w*|"
        r"branchless|openmp|multi-?thread\w*|parallel(?:i[sz]\w*)?|fus(?:e|ed|ing|ion)|kernels?|cuda ?graphs?|gpu"
    ),
    "saving in title": _words(
        r"avoid\w*|skip\w*|reduc\w+|eliminat\w+|minimi[sz]\w+|less|fewer|cheap(?:er|ly)?|light(?:er|weight)?|laz(?:y|ily)|"
        r"defer\w*|delay\w*|re-?us(?:e|es|ed|ing)|pre-?comput\w+|pre-?alloc\w+|memoi[sz]\w*|cach(?:e|es|ed|ing)|"
        r"batch\w*|bulk|inlin\w+|hoist\w*|in-?place|short-?circuit\w*|short-?cuts?|early|once|unnecessary|unneeded|needless\w*|"
        r"redundant|superfluous|only (?:when|if|once)|don'?t|instead of|stop \w+ing|on demand|"
        r"optimal|prun\w+|coalesc\w+"
    ),
    "cost in title": _words(
        r"cop(?:y|ies|ied|ying)|(?:re-?)?alloc\w*|memory|temporar\w+|overhead|calls?|look-?ups?|iterat(?:ion|ions|ing)|"
        r"re-?comput\w+|traversals?|walks?|conversions?|loops?|dispatch\w*|buffers?|buffering|start-?up|import time|"
        r"round-?trips?|syncs?|syscalls?|quer(?:y|ies)|passes|hash(?:es|ing)?|intermediate\w*|bytearray|memoryview|"
        r"generators?|comprehensions?|allocations?|regex\w*|locks?|gil"
    ),
    "native in title": _words(
        r"(?:in|into|to|using|with|via) (?:pure )?(?:c|c\+\+|cython|rust|numba)|cython\w*|"
        r"c[- ](?:extension|implementation)|(?:as|add|to) (?:\S+ )?(?:gu)?func(?:tion)?s?|ufuncs?|mypyc|speedups"
    ),
    "improvement in title": _words(
        r"improv\w+|better|algorithms?|variants?|rewrit\w+|rework\w*|state[- ]of[- ]the[- ]art|smarter|specialis\w+|"
        r"specializ\w+|simpler|shorter|tighter|tun(?:e|ed|ing)|scal(?:e|es|ing|ability)"
    ),
    "fix in title": _words(r"fix\w*|bugs?|bugfix\w*|bug:|correct\w*|crash\w*|regressions?|leaks?|wrong|errors?"),
    "addition in title": _words(
        r"add(?:s|ed|ing)?|support\w*|allow\w*|implement\w*|introduc\w+|enabl\w+|feat|feature|new|expos\w+|provid\w+"
    ),
    "housekeeping in title": _words(
        r"docs?|docstrings?|document\w*|typos?|tests?|tst|ci|lint\w*|sty|style|renam\w+|deprecat\w+|releas\w+|versions?|"
        r"annotat\w*|typing|type hints?|types|cleanup|clean(?:s|ed)? up|imports?|warnings?|back-?port\w*|licen[cs]e|"
        r"build|bump\w*|mypy|compat\w*|python ?[23][.\d]*|py3k|changelog|branch|examples?|comments?|messages?|"
        r"refactor\w*|bench"
    ),
}


_AGAINST = ("fix in title", "addition in title", "housekeeping in title")


def word_features(title: str, inner_titles: Sequence[str], change: Change) -> list[str]:
    """Features of the title (of a merge: with its inner commits'), the message and the names of the files."""
    spoken = promising = prose(title).lower()
    if inner_titles:
        promising = " \n".join([spoken, *(prose(line).lower() for line in inner_titles)])
    names = [
        name
        for name, pattern in _TITLE.items()
        # what speaks for a change may stand in any commit of it; what speaks against it must be its title
        if pattern.search(spoken if name in _AGAINST else promising)
    ]
    if "fix in title" in names and ("speed in title" in names or "saving in title" in names):
        names.remove("fix in title")  # what it mends is speed
    if any((conventional_type(line) or "") == "perf" for line in (title, *inner_titles)):
        names.append("perf type")
    message = _TRAILER.sub("", change.message) if "-by: " in change.message else change.message
    lower = message.lower()
    for name, pattern in (("measured gain", _GAIN), ("complexity", _COMPLEXITY), ("benchmark in message", _BENCHMARK)):
        if _may_match(name, message, lower) and pattern.search(message):
            names.append(name)
    if any(_is_note(file.path) for file in change.files):
        names.append("performance note")
    return names


def _may_match(name: str, message: str, lower: str) -> bool:
    if name == "measured gain" and _FIGURE.search(message):
        return True
    return any(map(lower.__contains__, _HINTS[name]))


@lru_cache(maxsize=20_000)
def _is_note(path: str) -> bool:
    return _NOTE.search(path) is not None
