"""Tests that may execute the changed functions, found by reading: they mention a changed name or a public one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasks.code.python import lines_of
from tasks.perftests.targets import FunctionNode, parse_file, read_source
from tasks.sandbox import foreign

TEST_FOLDERS = frozenset({"tests", "test", "testing"})
SKIPPED_FOLDERS = frozenset({"node_modules", "build", "dist", "site-packages", "__pycache__"})
MAX_FILES, MAX_TESTS = 8, 48
MAX_FILE_BYTES = 2_000_000


@dataclass(frozen=True)
class Candidate:
    """A test function: its file relative to the checkout, and `function` or `Class.method`."""

    path: str
    name: str
    score: float

    @property
    def nodeid(self) -> str:
        """As pytest names it, relative to the root."""
        return f"{self.path}::{self.name.replace('.', '::')}"


def find_candidates(
    checkout: Path, functions_changed: Sequence[str], apis: Sequence[str], changed_tests: Sequence[str]
) -> list[Candidate]:
    """Tests worth trying, best first; at most MAX_TESTS of at most MAX_FILES files.

    Files that the change touched (`changed_tests`) come first, then tests by how many of the names they mention. A name
    in the test's class, outside of its tests (a helper, setUp), counts half; one in the module only if nothing else is.
    """
    names = names_of(functions_changed, apis)
    if not names:
        return []
    # a name between underscores counts too: `test_top_words` is about `top`
    words = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9])({words})(?![A-Za-z0-9])")
    by_file: list[list[Candidate]] = []
    for path in test_files(checkout):
        text = read_source(checkout, path, MAX_FILE_BYTES)
        if not pattern.search(text):
            continue
        bonus = 100.0 if path in changed_tests else 0.0
        tree = parse_file(checkout, path)
        tests = list(_tests_of(tree, text)) if tree is not None else []
        scores = [_score(own, names, pattern) + 0.5 * _score(around, names, pattern) for _, own, around in tests]
        found = [Candidate(path, test[0], bonus + score) for test, score in zip(tests, scores, strict=True) if score]
        found = found or [Candidate(path, test[0], bonus) for test in tests]
        if found:
            by_file.append(sorted(found, key=lambda item: -item.score))
    by_file.sort(key=lambda found: -found[0].score)
    chosen = [item for found in by_file[:MAX_FILES] for item in found[: MAX_TESTS // 2]]
    return sorted(chosen, key=lambda item: -item.score)[:MAX_TESTS]


def test_files(checkout: Path) -> Iterator[str]:
    """Paths of test modules, by pytest's naming, sorted within each folder."""

    def enter(folder: str) -> bool:
        name = PurePosixPath(folder).name
        return not name.startswith(".") and name not in SKIPPED_FOLDERS

    return (path for path in foreign.files(checkout, enter=enter) if is_test_file(path))


def is_test_file(path: str) -> bool:
    """Whether pytest would collect it, or unittest projects would name it so."""
    name = PurePosixPath(path).name
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py") or name == "tests.py")


def names_of(functions_changed: Iterable[str], apis: Iterable[str]) -> dict[str, float]:
    """Words to look for, with their weight: changed names tell more than public names that reach them."""
    weights: dict[str, float] = {}
    for api in apis:
        weights[api.rsplit(".", 1)[-1]] = 1.0
    for function in functions_changed:
        parts = function.partition("::")[2].split(".")
        for part in parts:
            if part and not (part.startswith("__") and part.endswith("__")):
                weights[part] = 2.0
    return weights


def _score(text: str, names: dict[str, float], pattern: re.Pattern[str]) -> float:
    return sum(names[word] for word in set(pattern.findall(text)))


def _tests_of(tree: ast.Module, text: str) -> Iterator[tuple[str, str, str]]:
    """Every test function of a module: name, its source, and the source of its class without the tests."""
    lines = lines_of(text)

    def source(node: ast.stmt) -> str:
        return "\n".join(lines[node.lineno - 1 : node.end_lineno])

    for node in tree.body:
        if isinstance(node, FunctionNode) and node.name.startswith("test"):
            yield node.name, source(node), ""
        elif isinstance(node, ast.ClassDef):
            tests = [child for child in node.body if isinstance(child, FunctionNode) and child.name.startswith("test")]
            around = "\n".join([node.name, *(source(child) for child in node.body if child not in tests)])
            for child in tests:
                yield f"{node.name}.{child.name}", source(child), around
