"""Finds the changed functions as line ranges in a checkout, for comparison with a trace."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from tasks.code.python import parse, source_text
from tasks.sandbox import foreign

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Place:
    """One definition of a function. A name may have several: property and setter, two branches of an `if`."""

    path: str
    first: int
    """First line, decorators included: where its code object starts."""
    body: int
    """First line that only a call executes."""
    last: int


@dataclass(frozen=True)
class Targets:
    """The functions that a perf test has to execute, and the arm in which a trace can show it."""

    arm: Literal["base", "human"] = "base"
    functions: dict[str, list[Place]] = field(default_factory=dict)
    """By name, as in `Commit.functions_changed`."""
    files: list[str] = field(default_factory=list)
    """If no changed function is known: changed Python files, any line of which counts."""
    code: frozenset[str] = frozenset()
    """Files with changed functions, else the changed files: whose changed lines are to be executed."""

    @property
    def traceable(self) -> bool:
        """False if no changed file is Python: a trace of lines then shows nothing."""
        return bool(self.functions or self.files)

    def covered(self, lines: Mapping[str, Iterable[int]]) -> list[str]:
        """Names of functions (or else files) that a trace went through."""
        seen = {path: set(numbers) for path, numbers in lines.items()}
        found = [
            name
            for name, places in self.functions.items()
            if any(place.body <= line <= place.last for place in places for line in seen.get(place.path, ()))
        ]
        return found or [path for path in self.files if seen.get(path)]


def find_targets(functions_changed: list[str], files: list[str], base: Path, human: Path) -> Targets:
    """The changed functions on base; if none of them exists there, on human (all are new).

    `base` and `human` are checkouts. Functions of other languages are left out: their lines cannot be traced.
    """
    code = frozenset(name.partition("::")[0] for name in functions_changed) or frozenset(files)
    for arm, checkout in (("base", base), ("human", human)):
        places = locate(functions_changed, checkout)
        if places:
            return Targets(arm="base" if arm == "base" else "human", functions=places, code=code)
    python = [path for path in files if path.endswith(".py")]
    if any(foreign.is_file(base, path) for path in python):
        return Targets(arm="base", files=[path for path in python if foreign.is_file(base, path)], code=code)
    return Targets(arm="human", files=python, code=code)


def locate(names: list[str], checkout: Path) -> dict[str, list[Place]]:
    """Places of `path::Class.function` names that exist in a checkout."""
    wanted: dict[str, list[str]] = {}
    for name in names:
        path, _, qualified = name.partition("::")
        if path.endswith(".py") and qualified:
            wanted.setdefault(path, []).append(qualified)
    found: dict[str, list[Place]] = {}
    for path, qualified_names in wanted.items():
        tree = parse_file(checkout, path)
        defined = list(functions_of(tree)) if tree is not None else []
        for qualified in qualified_names:
            places = [_place(path, node) for name, node in defined if name == qualified]
            if places:
                found[f"{path}::{qualified}"] = places
    return found


def functions_of(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, FunctionNode]]:
    """Every function under a node with its qualified name (`Class.method`, `outer.inner`)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode | ast.ClassDef):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from functions_of(child, f"{name}.")
        else:
            yield from functions_of(child, prefix)


def read_source(checkout: Path, path: str | PurePath, limit: int = foreign.MAX_BYTES) -> str:
    """Text of a Python file of at most `limit` bytes, as Python reads it; empty for any other file."""
    try:
        return source_text(foreign.read(checkout, path, limit))
    except OSError:
        return ""


def parse_file(checkout: Path, path: str) -> ast.Module | None:
    """The syntax tree, or None for a file that is absent or that this Python cannot read."""
    try:
        return parse(foreign.read(checkout, path))
    except (OSError, SyntaxError, ValueError):
        return None


def _place(path: str, node: FunctionNode) -> Place:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return Place(path=path, first=first, body=node.body[0].lineno, last=node.end_lineno or node.lineno)
