"""The repository's airspeed-velocity benchmarks, read from a checkout: their places, the files that they need, and the
names in their text."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasks.code.python import lines_of, parse
from tasks.perftests.targets import functions_of, read_source
from tasks.sandbox import foreign

CONFIG_NAMES = ("asv.conf.json", "asv.conf.jsonc")
USUAL_FOLDERS = ("benchmarks/benchmarks", "asv_bench/benchmarks", "asv_benchmarks/benchmarks", "benchmarks")
MAX_DEPTH = 3
MAX_BYTES = 2_000_000
TIMED = "time_"
_COMMENT = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|//[^\n]*|/\*.*?\*/""", re.DOTALL)
_BENCHMARK_DIR = re.compile(r"""["']?\bbenchmark_dir["']?\s*:\s*["']([^"']+)["']""")
UNTIMED = ("peakmem_", "mem_", "track_", "timeraw_")


@dataclass(frozen=True)
class Suite:
    """A folder of benchmarks."""

    folder: str
    """asv's benchmark_dir, relative to the checkout. Its last part names the package of the benchmarks."""
    files: dict[str, str]
    """`<package>/path.py` -> text, of all Python files in it."""

    @property
    def package(self) -> str:
        """Name of the package."""
        return PurePosixPath(self.folder).name

    def modules(self) -> dict[str, str]:
        """Dotted name -> path of its file."""
        names = {}
        for path in self.files:
            parts = PurePosixPath(path).with_suffix("").parts
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return names

    def needed_by(self, module: str) -> dict[str, str]:
        """The files that a module needs to be imported: its own, packages above it, and what they import."""
        modules = self.modules()
        todo, found = [module], {}
        while todo:
            name = todo.pop()
            path = modules.get(name)
            if path is None or path in found:
                continue
            found[path] = self.files[path]
            parts = name.split(".")
            todo += [".".join(parts[:count]) for count in range(1, len(parts))]
            todo += _imports(found[path], name, is_package=path.endswith("__init__.py"))
        return found


def find_suite(checkout: Path) -> Suite | None:
    """The benchmarks of a checkout, or None. The folders of asv's configuration come first, then the usual ones."""
    for folder in dict.fromkeys([*_configured(checkout), *USUAL_FOLDERS]):
        root = foreign.inside(checkout, folder)
        if root is None or not foreign.is_folder(checkout, root) or not _importable(folder):
            continue
        files: dict[str, str] = {}
        for path in sorted(PurePosixPath(name) for name in foreign.files(checkout, root) if name.endswith(".py")):
            name = (PurePosixPath(folder).name / path.relative_to(root)).as_posix()
            files[name] = read_source(checkout, path)
        if any(re.search(rf"def {TIMED}", text) for text in files.values()):
            if sum(map(len, files.values())) > MAX_BYTES:
                return None
            return Suite(folder, files)
    return None


def why_none(checkout: Path) -> str:
    """Why `find_suite` finds nothing."""
    for folder in _configured(checkout):
        says = f"asv's configuration names the folder '{folder}' as benchmark_dir"
        root = foreign.inside(checkout, folder)
        if root is None or not foreign.is_folder(checkout, root):
            return f"{says}, which does not exist"
        if not _importable(folder):
            return f"{says}, and benchmarks cannot be imported from a folder of that name"
        return f"{says}, which holds no time_* functions, or more than {MAX_BYTES // 1_000_000} MB of Python"
    return "the repository has no asv benchmarks (asv.conf.json, time_* functions)"


def _importable(folder: str) -> bool:
    """asv imports the folder as a package, by its name, be that an identifier or not."""
    name = PurePosixPath(folder).name
    return name != "" and "." not in name and ":" not in name


def names_in(suite: Suite) -> Iterator[tuple[str, str, str]]:
    """(module, `function` or `Class.method`, source) of every benchmark that the text defines, timed or not."""
    for module, path in suite.modules().items():
        try:
            tree = parse(suite.files[path])
        except (SyntaxError, ValueError):
            continue
        lines = lines_of(suite.files[path])
        for name, node in functions_of(tree):
            if name.rpartition(".")[2].startswith((TIMED, *UNTIMED)):
                yield module, name, "\n".join(lines[node.lineno - 1 : node.end_lineno])


def hints(suite: Suite, words: dict[str, float]) -> dict[str, float]:
    """Benchmark's name without its class -> weight of the changed and public names that its text mentions."""
    pattern = re.compile(
        rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})(?![A-Za-z0-9])"
    )
    found: dict[str, float] = {}
    for _, name, source in names_in(suite) if words else ():
        function = name.rpartition(".")[2]
        score = sum(words[word] for word in set(pattern.findall(source)))
        found[function] = max(found.get(function, 0.0), score)
    return found


def _configured(checkout: Path) -> Iterator[str]:
    """benchmark_dir of every asv configuration near the root."""

    def enter(folder: str) -> bool:
        return folder.count("/") < MAX_DEPTH and not PurePosixPath(folder).name.startswith(".")

    for path in map(PurePosixPath, foreign.files(checkout, enter=enter)):
        if path.name in CONFIG_NAMES:
            text = foreign.text(checkout, path, MAX_BYTES) or ""
            named = _BENCHMARK_DIR.search(_COMMENT.sub(lambda found: found[1] or " ", text))
            target = os.path.normpath((path.parent / (named[1] if named else "benchmarks")).as_posix())
            if not target.startswith(".."):
                yield target


def _imports(text: str, module: str, is_package: bool) -> Iterable[str]:
    """Dotted names that a module imports, and what they may be submodules of."""
    try:
        tree = parse(text)
    except (SyntaxError, ValueError):
        return
    package: Sequence[str] = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = list(package[: len(package) - node.level + 1]) if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
