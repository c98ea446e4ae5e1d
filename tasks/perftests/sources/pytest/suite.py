"""Collects from a checkout the files that a test needs; a generated script carries them with it.

Scripts carry their tests because every arm must run the same test, also a patch that edits or breaks the repository's
own tests, and because the test may exist only at the human commit. A suite holds the test's module (cut down to the
chosen tests), the conftest files and `__init__` files above it, and the helper modules that it imports from among the
tests. A suite holds no data files: a test that needs them fails at its first trial, and is not used.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tasks.code.paths import is_test_module
from tasks.code.python import parse
from tasks.perftests.sources.pytest.benchmarks import callable_text, functions_to_call
from tasks.perftests.sources.pytest.candidates import HELPER_FOLDERS, is_benchmark_file
from tasks.perftests.sources.pytest.claims import without_claims
from tasks.perftests.sources.pytest.pruning import keep_tests
from tasks.perftests.sources.pytest.sizes import scaled_module, version_of, with_versions
from tasks.perftests.targets import parse_file, read_source
from tasks.sandbox import foreign

MAX_BYTES = 400_000


class SuiteTooLarge(ValueError):
    """The files that the tests need are too large together."""


@dataclass
class Suite:
    """Files of a small test tree, and the project's packages that it sits in."""

    files: dict[str, str] = field(default_factory=dict)
    """Path relative to the checkout -> text."""
    packages: list[tuple[str, str]] = field(default_factory=list)
    """(dotted name, path) of project packages with tests inside, outermost first."""


def build_suite(checkout: Path, tests: dict[str, set[str] | None], limit: int = MAX_BYTES) -> Suite:
    """The suite for some test modules: path -> names of the tests to keep (`f`, `Class.f`, `f__times_10`), or None for
    all.

    Raises SuiteTooLarge above `limit` bytes.
    """
    suite = Suite()
    todo = list(tests.items())
    while todo:
        path, names = todo.pop()
        if path in suite.files:
            continue
        text = text_of(checkout, path, names)
        suite.files[path] = text
        size = sum(len(known) for known in suite.files.values())
        if size > limit:
            raise SuiteTooLarge(f"its files take more than {limit // 1000} kB")
        todo.extend((found, None) for found in _surroundings(checkout, path, suite) if found not in tests)
        todo.extend((found, None) for found in _imports(checkout, path, text) if found not in tests)
    suite.packages.sort(key=lambda item: item[1].count("/"))
    return suite


def text_of(checkout: Path, path: str, names: set[str] | None) -> str:
    """A file of a checkout as scripts carry it (see `workload_text`). Of a benchmark one version is taken: it is scaled
    as a whole.
    """
    text = read_source(checkout, path)
    if not is_benchmark_file(path):
        return workload_text(text, names)
    text = callable_text(text)
    version = next((name for name in names or () if version_of(name)[1]), "")
    text, _ = without_claims(scaled_module(text, version) if version else text)
    return text


def workload_text(text: str, names: set[str] | None) -> str:
    """A file of the tests as scripts carry it: with these tests and versions of tests (None: all that it has), and
    without assertions about time.
    """
    tests = None if names is None else {version_of(name)[0] for name in names}
    text = text if tests is None else keep_tests(text, tests)
    text, _ = without_claims(text)
    return text if names is None or names == tests else keep_tests(with_versions(text, names), names)


def _surroundings(checkout: Path, path: str, suite: Suite) -> Iterator[str]:
    """conftest.py and `__init__.py` from the module's folder up to the root; packages of the project become stubs."""
    folder = PurePosixPath(path).parent
    chain = [folder, *folder.parents]
    packages: list[PurePosixPath] = []
    for place in chain:
        if foreign.is_file(checkout, place / "conftest.py"):
            yield (place / "conftest.py").as_posix()
    for place in chain:
        if place == PurePosixPath(".") or not foreign.is_file(checkout, place / "__init__.py"):
            break
        packages.append(place)
    top = len(packages[-1].parts) - 1 if packages else 0
    for place in packages:
        init = (place / "__init__.py").as_posix()
        if HELPER_FOLDERS & set(place.parts[top:]):
            yield init
        elif init not in suite.files:
            # pytest needs the file to see a package; Python finds its modules in the arm, through __path__
            suite.files[init] = ""
            suite.packages.append((".".join(place.parts[top:]), place.as_posix()))


def _imports(checkout: Path, path: str, text: str) -> Iterator[str]:
    """Modules among the tests that a test module imports."""
    try:
        tree = parse(text)
    except (SyntaxError, ValueError):
        return
    folder = PurePosixPath(path).parent
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _found(checkout, _absolute(folder, alias.name), folder)
        elif isinstance(node, ast.ImportFrom):
            inner = node.module.split(".") if node.module else []
            if node.level:
                start = folder
                for _ in range(node.level - 1):
                    start = start.parent
                starts: Iterable[PurePosixPath] = [start.joinpath(*inner)]
            else:
                starts = _absolute(folder, ".".join(inner))
            for start in starts:
                yield from _found(checkout, [start, *(start / alias.name for alias in node.names)], folder)


def _absolute(folder: PurePosixPath, dotted: str) -> list[PurePosixPath]:
    """Where a module of this name may lie: beside the test, or below any folder above it."""
    return [place.joinpath(*dotted.split(".")) for place in (folder, *folder.parents)] if dotted else []


def _found(checkout: Path, modules: Iterable[PurePosixPath], folder: PurePosixPath) -> Iterator[str]:
    for module in modules:
        for candidate in (module.with_suffix(".py"), module / "__init__.py") if module.name else ():
            inside = HELPER_FOLDERS & set(candidate.parts[:-1]) or is_test_module(candidate.name)
            beside = candidate.parent == folder and not foreign.is_file(checkout, folder / "__init__.py")
            if (inside or (beside and folder != PurePosixPath("."))) and foreign.is_file(checkout, candidate):
                yield candidate.as_posix()


def has_test(checkout: Path, path: str, name: str) -> bool:
    """Whether a test (`f` or `Class.f`) is defined in a module of a checkout, or a benchmark can be called by it."""
    if is_benchmark_file(path):
        return name in functions_to_call(read_source(checkout, path))
    tree = parse_file(checkout, path)
    body: list[ast.stmt] = tree.body if tree is not None else []
    *classes, function = name.split(".")
    for class_name in classes:
        body = [
            inner for node in body if isinstance(node, ast.ClassDef) and node.name == class_name for inner in node.body
        ]
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function for node in body)
