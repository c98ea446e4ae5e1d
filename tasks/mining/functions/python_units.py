"""The pieces of a Python file, by Python's own parser; only the parts that a change touches are parsed in full."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.code.python import parse
from tasks.mining.functions.focus import Deceived, Layout
from tasks.mining.functions.units import Lines, Unit

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NOT_RUN = {"returns", "annotation"}
_IGNORED = {(ast.FunctionDef, "returns"), (ast.AsyncFunctionDef, "returns"), (ast.arg, "annotation")}
_DEF = re.compile(r"^(\s*)(async\s+def|def|class)\s+(\w+)")


def read_both(before: bytes, old_lines: Lines, after: bytes, new_lines: Lines) -> tuple[list[Unit], list[Unit]]:
    """Units of both versions of a Python 3 file: those that hold one of the lines, and units with the same names on the
    other side. Other units may be missing.

    Raises SyntaxError, ValueError, RecursionError or MemoryError for a file that is not Python 3.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old code
        try:
            old, new = Layout(before), Layout(after)
            # a definition that only one side touches still has a twin on the other
            names = old.names(old_lines) | new.names(new_lines)
            return (
                list(_units(parse(old.reduced(names)).body, "")),
                list(_units(parse(new.reduced(names)).body, "")),
            )
        except (Deceived, SyntaxError, ValueError):
            pass  # the short way guesses by layout
        return list(_units(parse(before).body, "")), list(_units(parse(after).body, ""))


def _units(body: list[ast.stmt], scope: str) -> Iterator[Unit]:
    for node in body:
        first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
        last = node.end_lineno or first
        prefix = f"{scope}." if scope else ""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Unit(prefix + node.name, scope, first, last, _Code(node))
        elif isinstance(node, ast.ClassDef):
            name = prefix + node.name
            yield Unit("", name, first, max(first, node.body[0].lineno - 1), _Code(_head_of(node)))
            yield from _units(node.body, name)
        elif isinstance(node, (ast.If, ast.Try)) and _defines(node):
            if isinstance(node, ast.If):
                yield Unit("", scope, node.test.lineno, node.test.end_lineno or first, _Code(node.test))
            yield from _units(_inside(node), scope)
        else:
            yield Unit("", scope, first, last, _Code(node))


@dataclass(frozen=True)
class _Code:
    """Code as a syntax tree."""

    node: ast.AST

    def same_as(self, other: object) -> bool:
        """Whether both pieces run alike."""
        if not isinstance(other, _Code):
            return False
        empty = self.is_empty()
        return empty == other.is_empty() and (empty or _same(self.node, other.node))

    def is_empty(self) -> bool:
        """Whether no part of the piece runs: imports and `__all__`, docstrings."""
        node = self.node
        if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_docstring(node):
            return True
        if isinstance(node, (ast.Assign, ast.AugAssign)) and _assigns_all(node):
            return True
        return isinstance(node, ast.If) and all(isinstance(item, (ast.Import, ast.ImportFrom)) for item in node.body)


def _defines(node: ast.stmt) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if isinstance(node, (ast.If, ast.Try)):
        return any(isinstance(item, kinds) or _defines(item) for item in _inside(node))
    return False


def _inside(node: ast.If | ast.Try) -> list[ast.stmt]:
    if isinstance(node, ast.If):
        return [*node.body, *node.orelse]
    handlers = [statement for handler in node.handlers for statement in handler.body]
    return [*node.body, *handlers, *node.orelse, *node.finalbody]


def _head_of(node: ast.ClassDef) -> ast.AST:
    return ast.ClassDef(
        name=node.name, bases=node.bases, keywords=node.keywords, body=[], decorator_list=node.decorator_list
    )


def _same(left: object, right: object) -> bool:
    """Whether two trees are equal but for docstrings and annotations of functions. Ends at the first difference."""
    pending: list[tuple[object, object]] = [(left, right)]
    while pending:
        one, other = pending.pop()
        kind = type(one)
        if kind is not type(other):
            return False
        if isinstance(one, ast.AST):
            for name in one._fields:
                if name in _NOT_RUN and (kind, name) in _IGNORED:
                    continue
                mine, theirs = getattr(one, name, None), getattr(other, name, None)
                if name == "body" and kind in _FUNCTIONS:
                    mine, theirs = _without_docstring(mine), _without_docstring(theirs)
                pending.append((mine, theirs))
        elif isinstance(one, list):
            if len(one) != len(other):  # type: ignore[arg-type]
                return False
            pending += zip(one, other, strict=True)  # type: ignore[call-overload]
        elif one != other:
            return False
    return True


def _without_docstring(body: Any) -> Any:
    return body[1:] if len(body) > 1 and _is_docstring(body[0]) else body


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _assigns_all(node: ast.Assign | ast.AugAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def by_indentation(source: bytes, lines: Lines) -> dict[str, bool]:
    """Functions, and whether they hold one of the lines, by `def` and indentation: for files that do not parse."""
    names: dict[str, bool] = {}
    scopes: list[tuple[int, str, str]] = []
    for number, line in enumerate(source.decode("utf-8", "replace").split("\n"), start=1):
        text = line.lstrip()
        if not text:
            continue
        indent = len(line) - len(text)
        while scopes and indent <= scopes[-1][0] and not text.startswith((")", "#")):
            scopes.pop()
        match = _DEF.match(line) if text.startswith(("def", "class", "async")) else None
        if match and (not scopes or scopes[-1][1] == "class"):
            scopes.append((indent, "class" if match[2] == "class" else "def", match[3]))
            if scopes[-1][1] == "def":
                names.setdefault(".".join(name for _, _, name in scopes), False)
        if number in lines and scopes and scopes[-1][1] == "def":
            names[".".join(name for _, _, name in scopes)] = True
    return names
