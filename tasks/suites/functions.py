"""Where the changed functions are, so that a call of one can be seen; and which test files mention them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.code.python import parse
from tasks.sandbox import foreign

Spans = dict[str, list[tuple[int, int, str]]]
"""Path -> first line (decorators included), last line, name as in `Commit.functions_changed`."""
MAX_FILE_BYTES = 2_000_000


def spans_of(names: Sequence[str], checkout: Path) -> Spans:
    """The changed functions that are Python and there; classes and statements of modules run when they are imported."""
    wanted: dict[str, set[str]] = {}
    for name in names:
        path, _, qualified = name.partition("::")
        if path.endswith(".py") and qualified:
            wanted.setdefault(path, set()).add(qualified)
    found: Spans = {}
    for path, qualified_names in wanted.items():
        try:
            tree = parse(foreign.read(checkout, path))
        except (OSError, SyntaxError, ValueError):
            continue
        for qualified, first, last in _functions(tree):
            if qualified in qualified_names:
                found.setdefault(path, []).append((first, last, f"{path}::{qualified}"))
    return found


def names_in(spans: Spans) -> set[str]:
    """The functions that can be seen."""
    return {name for places in spans.values() for _, _, name in places}


def by_mention(files: Sequence[str], names: Sequence[str], checkout: Path) -> list[str]:
    """The files, those first that mention most of the changed functions and their modules."""
    words = {part for name in names for part in re.split(r"[.:/]+", name.removesuffix(".py")) if len(part) > 2}
    pattern = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, sorted(words))) or '(?!)'})(?![A-Za-z0-9])")

    def mentions(path: str) -> int:
        return len(set(pattern.findall(foreign.text(checkout, path, MAX_FILE_BYTES) or "")))

    scores = {path: mentions(path) for path in files}
    return sorted(files, key=lambda path: (-scores[path], path))


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not isinstance(child, ast.ClassDef):
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                yield f"{prefix}{child.name}", first, child.end_lineno or child.lineno
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)
