"""Finds tests that may execute the changed functions, by reading: they mention a changed name or a public one."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasks.code.paths import TEST_FOLDERS, is_benchmark_path, is_test_module
from tasks.code.python import lines_of
from tasks.perftests.sources.pytest.benchmarks import functions_to_call
from tasks.perftests.sources.pytest.claims import speaks_of_speed
from tasks.perftests.targets import FunctionNode, parse_file, read_source
from tasks.sandbox import foreign

HELPER_FOLDERS = TEST_FOLDERS | {"testing"}
"""Folders whose modules go with the tests that import them; elsewhere `testing` is code of the project, as in numpy."""
SKIPPED_FOLDERS = frozenset({"node_modules", "build", "dist", "site-packages", "__pycache__"})
MAX_FILES, MAX_TESTS = 8, 48
MAX_FILE_BYTES = 2_000_000
TOUCHED, OF_MODULE, SPEAKS = 50.0, 5.0, 3.0
"""What counts for a test that the change wrote, for one in a file named for a changed module (`websocket_test.py`), and
for one whose name speaks of large inputs or of time."""


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
    checkout: Path,
    functions_changed: Sequence[str],
    apis: Sequence[str],
    changed_tests: Sequence[str],
    touched: Mapping[str, Collection[int]] | None = None,
) -> list[Candidate]:
    """Tests worth trying, best first; at most MAX_TESTS of at most MAX_FILES files.

    Tests with lines that the change wrote (`touched`: path -> numbers) come first, then those of files that it touched
    (`changed_tests`), then tests by how many of the names they mention. A name in the test's class, outside of its
    tests (a helper, setUp), counts half; one in the module only if nothing else is. A test whose name speaks of large
    inputs or of time comes before its neighbours. All tests of a file that is named for a changed module count: names
    such as `get` and `run` stand everywhere. Where no test mentions a name, those count that mention the changed
    modules, else all that import the package.
    """
    modules = modules_of(functions_changed)
    for names in (names_of(functions_changed, apis), modules, packages_of(functions_changed)):
        if names and (found := _mentioning(checkout, names, modules, changed_tests, touched or {})):
            return found
    return []


def _mentioning(
    checkout: Path,
    names: dict[str, float],
    modules: Collection[str],
    changed_tests: Sequence[str],
    touched: Mapping[str, Collection[int]],
) -> list[Candidate]:
    # a name between underscores counts too: `test_top_words` is about `top`
    words = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9])({words})(?![A-Za-z0-9])")
    by_file: list[list[Candidate]] = []
    for path in test_files(checkout):
        text = read_source(checkout, path, MAX_FILE_BYTES)
        of_module = OF_MODULE if subject_of(path) in modules else 0.0
        if not pattern.search(text) and not of_module:
            continue
        bonus = of_module + (100.0 if path in changed_tests else 0.0)
        tree = parse_file(checkout, path)
        benchmarks = is_benchmark_file(path)
        tests = list(_tests_of(tree, text)) if tree is not None and not benchmarks else []
        if benchmarks:
            whole = range(1, len(lines_of(text)) + 1)
            tests = [(name, text, "", whole) for name in functions_to_call(text)]
        scores = [_score(own, names, pattern) + 0.5 * _score(around, names, pattern) for _, own, around, _ in tests]
        extra = [bonus + _claim(name, lines, touched.get(path, ())) for name, _, _, lines in tests]
        rated = [(test[0], score, more) for test, score, more in zip(tests, scores, extra, strict=True)]
        found = [Candidate(path, name, score + more) for name, score, more in rated if score or more >= OF_MODULE]
        found = found or [Candidate(path, name, more) for name, _, more in rated]
        if found:
            by_file.append(sorted(found, key=lambda item: -item.score))
    by_file.sort(key=lambda found: -found[0].score)
    chosen = [item for found in by_file[:MAX_FILES] for item in found[: MAX_TESTS // 2]]
    return sorted(chosen, key=lambda item: -item.score)[:MAX_TESTS]


def test_files(checkout: Path) -> Iterator[str]:
    """Paths of test modules, by pytest's naming, and of benchmarks, sorted within each folder."""

    def enter(folder: str) -> bool:
        name = PurePosixPath(folder).name
        return not name.startswith(".") and name not in SKIPPED_FOLDERS

    return (path for path in foreign.files(checkout, enter=enter) if is_test_module(path) or is_benchmark_file(path))


def is_benchmark_file(path: str) -> bool:
    """Whether the path is a Python file in a place, or with a name, of benchmarks."""
    return path.endswith(".py") and is_benchmark_path(path)


def subject_of(path: str) -> str:
    """The module that a file of tests is named for: `websocket` for `websocket_test.py` and `test_websocket.py`."""
    return re.sub(r"^(?:test|bench)_|_(?:tests?|bench|benchmark)$", "", PurePosixPath(path).stem)


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


def modules_of(functions_changed: Iterable[str]) -> dict[str, float]:
    """Names of the changed files, as modules: `fast` for `kit/_fast.pyx`."""
    stems = {PurePosixPath(function.partition("::")[0]).stem.strip("_") for function in functions_changed}
    return {stem: 1.0 for stem in stems if len(stem) > 2 and stem != "init"}


def packages_of(functions_changed: Iterable[str]) -> dict[str, float]:
    """Names of the packages that the changed files belong to."""
    folders = [PurePosixPath(function.partition("::")[0]).parts[:-1] for function in functions_changed]
    inner = [[part for part in parts if part not in ("src", "lib", "python")] for parts in folders]
    return {parts[0]: 1.0 for parts in inner if parts}


def _claim(name: str, lines: range, touched: Collection[int]) -> float:
    """What counts for a test beside the names that it mentions."""
    written = TOUCHED if any(number in lines for number in touched) else 0.0
    return written + (SPEAKS if speaks_of_speed(name) else 0.0)


def _score(text: str, names: dict[str, float], pattern: re.Pattern[str]) -> float:
    return sum(names[word] for word in set(pattern.findall(text)))


def _tests_of(tree: ast.Module, text: str) -> Iterator[tuple[str, str, str, range]]:
    """Every test function of a module: name, its source, the source of its class without the tests, its lines."""
    lines = lines_of(text)

    def source(node: ast.stmt) -> str:
        return "\n".join(lines[node.lineno - 1 : node.end_lineno])

    for node in tree.body:
        if isinstance(node, FunctionNode) and node.name.startswith("test"):
            yield node.name, source(node), "", _lines(node)
        elif isinstance(node, ast.ClassDef):
            tests = [child for child in node.body if isinstance(child, FunctionNode) and child.name.startswith("test")]
            around = "\n".join([node.name, *(source(child) for child in node.body if child not in tests)])
            for child in tests:
                yield f"{node.name}.{child.name}", source(child), around, _lines(child)


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
