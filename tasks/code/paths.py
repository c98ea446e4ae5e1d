"""What kind of file a path is: code of the project, a test, documentation, or something else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["code", "test", "docs", "benchmark", "other"]

LANGUAGE_SUFFIXES: dict[str, tuple[str, ...]] = {
    "python": (".py",),
    "c": (".c", ".h"),
    "cpp": (".cc", ".cpp", ".cxx", ".hpp", ".hh", ".h", ".inl"),
    "cython": (".pyx", ".pxd", ".pxi"),
    "cuda": (".cu", ".cuh"),
    "rust": (".rs",),
}
TEST_FOLDERS = frozenset({"tests", "test"})
_TEST_NAME = re.compile(r"(test_.*|.*_tests?|conftest|tests)\.(py|c|cc|cpp|cu|rs|pyx)")
_BENCHMARK_FOLDERS = {"benchmarks", "benchmark", "asv_bench", "bench", "benches"}
_BENCHMARK_NAME = re.compile(r"(bench_.*|benchmark.*|.*_bench(mark)?)\.py")
_DOC_FOLDERS = {"docs", "doc", "documentation", "changelog.d", "newsfragments", "changes"}
_DOC_SUFFIXES = {".md", ".rst", ".txt", ".ipynb", ".html", ".css", ".png", ".svg"}
_DOC_NAMES = re.compile(
    r"(readme|changelog|changes|history|news|authors|contributors|licen[cs]e|copying|notice|whatsnew)(\..*)?",
    re.IGNORECASE,
)

_INSTALLED_ONLY = re.compile(
    r"(^|/)(__pycache__|\.git|[^/]*\.(egg-info|dist-info|egg))(/|$)|\.(py[co]|nb[ci]|egg-link|pth)$", re.IGNORECASE
)
_COMPILED = re.compile(r"\.(pyd|dll|dylib|o|a)$|\.so(\.[0-9]+)*$", re.IGNORECASE)


def is_compiled_name(path: str) -> bool:
    """Whether a file of this name is what compiling or installing leaves."""
    return _COMPILED.search(path) is not None or is_installed_only(path)


def is_installed_only(path: str) -> bool:
    """Whether a file of this name belongs into an installation, and never into a checkout: byte code, metadata."""
    return _INSTALLED_ONLY.search(path) is not None


def is_test_path(path: str) -> bool:
    """`tests/`, `test/`, `test_*.py`, `*_test.py`, `conftest.py` and their like in compiled languages."""
    pure = PurePosixPath(path)
    return bool(TEST_FOLDERS.intersection(pure.parts[:-1])) or _TEST_NAME.fullmatch(pure.name) is not None


def is_test_module(path: str) -> bool:
    """Whether a Python file's name says that tests stand in it, to pytest or to Django; helpers of tests do not."""
    name = PurePosixPath(path).name
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py") or name == "tests.py")


def is_benchmark_path(path: str) -> bool:
    """Benchmarks that the project keeps of itself."""
    pure = PurePosixPath(path)
    return bool(_BENCHMARK_FOLDERS.intersection(pure.parts[:-1])) or _BENCHMARK_NAME.fullmatch(pure.name) is not None


def is_docs_path(path: str) -> bool:
    """Documentation, change logs, licences."""
    pure = PurePosixPath(path)
    return (
        pure.parts[0].lower() in _DOC_FOLDERS
        or pure.suffix.lower() in _DOC_SUFFIXES
        or _DOC_NAMES.fullmatch(pure.name) is not None
    )


def strip_template(path: str) -> str:
    """The path of what a template makes: `loops.c.src` is C, `generator.pyx.in` is Cython."""
    return path.removesuffix(".in").removesuffix(".src")


class PathKinds:
    """Tells the kind of a path, for the languages and the exclusions of a configuration."""

    def __init__(self, languages: Sequence[str], exclude: Sequence[str]) -> None:
        self._suffixes = tuple(suffix for language in languages for suffix in LANGUAGE_SUFFIXES[language])
        self._excluded = [glob_pattern(glob) for glob in exclude]
        self.kind = lru_cache(maxsize=20_000)(self._kind)

    def _kind(self, path: str) -> Kind:
        if is_test_path(path):
            return "test"
        if is_benchmark_path(path):
            return "benchmark"
        if is_docs_path(path):
            return "docs"
        if not strip_template(path).endswith(self._suffixes) or any(
            pattern.fullmatch(path) for pattern in self._excluded
        ):
            return "other"
        return "code"


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob as a pattern of the whole path: `**` crosses folders, `*` and `?` do not."""
    parts = []
    for token in re.split(r"(\*\*/|\*\*|\*|\?)", glob):
        parts.append({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token, re.escape(token)))
    return re.compile("".join(parts))
