"""Which functions a change touches, by Python's own parser on the file before and after; not by hunk headers."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.syntax import parse

_HUNK = re.compile(rb"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@", re.MULTILINE)
_DEF = re.compile(r"^(\s*)(async\s+def|def|class)\s+(\w+)")
Lines = set[int]


@dataclass(frozen=True)
class TouchedFile:
    """What happened to one Python file."""

    functions: list[str]
    """`Class.function`, of functions that exist after the change and whose code differs; in order of the file."""
    cosmetic: bool
    """True if only imports, comments, docstrings, annotations, whitespace or the order of definitions differ."""
    only_new: bool = False
    """True if whatever existed before is as it was: new functions and classes, no other."""
    parsed: bool = True
    """False if a side is no Python 3; functions are then found by indentation and comments count as code."""


def touched(before: bytes, after: bytes, patch: bytes) -> TouchedFile:
    """Compare two versions of a file (empty: absent) where its part of the patch says that they differ."""
    old_lines, new_lines = changed_lines(patch)
    try:
        old_tree, new_tree = _parse(before), _parse(after)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        held = _by_indentation(before, old_lines) + _by_indentation(after, new_lines)
        existing = set(_by_indentation(after, None))
        return TouchedFile(list(dict.fromkeys(name for name in held if name in existing)), False, parsed=False)
    # a definition that only one side touches still has a twin on the other
    old_loose, old_names = _touched_units(old_tree, old_lines)
    new_loose, new_names = _touched_units(new_tree, new_lines)
    names = old_names | new_names
    old, new = _definitions(old_tree, names), _definitions(new_tree, names)
    functions = [name for name, texts in new.items() if old.get(name) != texts]
    same_loose = sorted(old_loose) == sorted(new_loose)
    only_new = bool(functions) and same_loose and not old
    return TouchedFile(functions, old == new and same_loose, only_new)


def changed_lines(patch: bytes) -> tuple[Lines, Lines]:
    """Numbers of deleted lines (before) and added lines (after) in one file's part of a patch."""
    old: Lines = set()
    new: Lines = set()
    starts = list(_HUNK.finditer(patch))
    for index, match in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(patch)
        old_at, new_at = int(match[1]), int(match[2])
        body = patch[match.end() : end]
        for line in body[body.find(b"\n") + 1 :].split(b"\n")[:-1]:
            sign = line[:1]
            if sign == b"-":
                old.add(old_at)
                old_at += 1
            elif sign == b"+":
                new.add(new_at)
                new_at += 1
            elif sign == b" ":
                old_at += 1
                new_at += 1
    return old, new


def _parse(source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old code
        return parse(source)


def _touched_units(tree: ast.Module, lines: Lines) -> tuple[list[str], set[str]]:
    """Loose statements, normalised, and names of functions that the lines touch."""
    loose: list[str] = []
    names: set[str] = set()
    for name, node in _walk(tree.body, "", lines):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(name)
        else:
            text = _normal(node)
            loose += [f"{name}:{text}"] if text else []
    return loose, names


def _definitions(tree: ast.Module, names: set[str]) -> dict[str, list[str]]:
    """Name -> normalised definitions. There may be several: a property and its setter, branches of an `if`."""
    found: dict[str, list[str]] = {}
    for name, node in _functions(tree.body, ""):
        if name in names:
            found.setdefault(name, []).append(_normal(node))
    return found


def _span(node: ast.AST) -> range:
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])  # type: ignore[attr-defined]
    return range(first, (node.end_lineno or first) + 1)  # type: ignore[attr-defined]


def _walk(body: list[ast.stmt], scope: str, lines: Lines) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        span = _span(node)
        if not any(line in span for line in lines):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{scope}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            head = range(span.start, node.body[0].lineno)
            if any(line in head for line in lines):
                yield f"{scope}{node.name}", _head_of(node)
            yield from _walk(node.body, f"{scope}{node.name}.", lines)
        elif isinstance(node, (ast.If, ast.Try)) and any(True for _ in _functions([node], scope)):
            yield from _walk(_inside(node), scope, lines)
        else:
            yield scope, node


def _functions(body: list[ast.stmt], scope: str) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{scope}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{scope}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _functions(_inside(node), scope)


def _inside(node: ast.If | ast.Try) -> list[ast.stmt]:
    if isinstance(node, ast.If):
        return [*node.body, *node.orelse]
    handlers = [statement for handler in node.handlers for statement in handler.body]
    return [*node.body, *handlers, *node.orelse, *node.finalbody]


def _head_of(node: ast.ClassDef) -> ast.AST:
    return ast.ClassDef(
        name=node.name, bases=node.bases, keywords=node.keywords, body=[], decorator_list=node.decorator_list
    )


def _normal(node: ast.AST) -> str:
    """The tree as text without what does not run: imports and `__all__`, docstrings, annotations."""
    if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_docstring(node):
        return ""
    if isinstance(node, (ast.Assign, ast.AugAssign)) and _assigns_all(node):
        return ""
    if isinstance(node, ast.If) and all(isinstance(item, (ast.Import, ast.ImportFrom)) for item in node.body):
        return ""
    # the tree was parsed for this comparison alone, so it may be changed in place
    for item in ast.walk(node):
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            item.returns = None
            if len(item.body) > 1 and _is_docstring(item.body[0]):
                del item.body[0]
        elif isinstance(item, ast.arg):
            item.annotation = None
    return ast.dump(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _assigns_all(node: ast.Assign | ast.AugAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def _by_indentation(source: bytes, lines: Lines | None) -> list[str]:
    """Functions that hold the lines (None: all), by `def` lines and indentation: for files that do not parse."""
    names: dict[str, None] = {}
    scopes: list[tuple[int, str, str]] = []
    for number, line in enumerate(source.decode("utf-8", "replace").split("\n"), start=1):
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        while scopes and indent <= scopes[-1][0] and not line.lstrip().startswith((")", "#")):
            scopes.pop()
        match = _DEF.match(line)
        if match and not any(kind != "class" for _, kind, _ in scopes):
            scopes.append((indent, "class" if match[2] == "class" else "def", match[3]))
        if scopes and scopes[-1][1] == "def" and (lines is None or number in lines):
            names[".".join(name for _, _, name in scopes)] = None
    return list(names)
