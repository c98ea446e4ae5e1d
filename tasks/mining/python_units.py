"""The pieces of a Python file, by Python's own parser; only the parts that a change touches are parsed in full."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_left
from collections.abc import Collection, Iterator
from functools import lru_cache

from tasks.mining.units import Lines, Unit
from tasks.syntax import parse

_DEF_LINE = re.compile(rb"^([ \t]*)(async[ \t]+def|def)[ \t]+(\w+)", re.MULTILINE)
_CODE_LINE = re.compile(rb"^([ \t]*)[^\s#)\]}]", re.MULTILINE)
_DEF = re.compile(r"^(\s*)(async\s+def|def|class)\s+(\w+)")
WORTHWHILE_BYTES = 20_000
"""Smaller files are parsed whole."""


def read_python(source: bytes, lines: Lines, keep: Collection[bytes]) -> list[Unit]:
    """Units of a file that is Python 3. Functions that hold none of the lines and are not named in `keep` are left out.

    Raises SyntaxError, ValueError, RecursionError or MemoryError if it is not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old code
        if len(source) > WORTHWHILE_BYTES:
            try:
                return list(_units(parse(without_bodies(source, lines, keep)).body, ""))
            except (SyntaxError, ValueError):
                pass  # the short way guesses where functions end
        return list(_units(parse(source).body, ""))


def touched_names(source: bytes, lines: Lines) -> set[bytes]:
    """Last names of the functions that may hold one of the lines; rather too many than too few."""
    ordered = sorted(lines)
    return {name for name, _, first, _, last in _functions(source) if _any_in(ordered, first, last)}


def without_bodies(source: bytes, lines: Lines, keep: Collection[bytes]) -> bytes:
    """The file with the bodies of functions that do not matter taken out; the others keep their line numbers.

    Where the text is not laid out as expected (code to the left of its function, within brackets or strings), the
    result does not parse, or the function stays.
    """
    parts: list[bytes] = []
    at = 0
    text = source.split(b"\n")
    ordered = sorted(lines)
    for name, indent, first, line, last in _functions(source):
        body = text[line - 1 : last - 1]
        joined = b"\n".join(body)
        whole = name in keep or _any_in(ordered, first, last)
        if whole or joined.count(b'"""') % 2 or joined.count(b"'''") % 2:
            continue
        parts += text[at : line - 1]
        parts.append(indent + b"def " + name + b"(): pass")
        parts += [b""] * (len(body) - 1)
        at = last - 1
    return b"\n".join([*parts, *text[at:]])


@lru_cache(maxsize=8)  # both questions above ask it, and one change's file after is often the next one's before
def _functions(source: bytes) -> list[tuple[bytes, bytes, int, int, int]]:
    """(name, indentation, line after the previous function, line of `def`, line after its end); none lies in another.

    Found by layout: a function ends at the next line of code that stands no further right than its `def`.
    """
    starts = [(match.start(), len(match[1])) for match in _CODE_LINE.finditer(source)]
    numbers = _line_numbers(source, [start for start, _ in starts])
    by_start = {start: index for index, (start, _) in enumerate(starts)}
    found = []
    previous, skip_to = 1, -1
    end_of_file = source.count(b"\n") + 2
    for match in _DEF_LINE.finditer(source):
        index = by_start.get(match.start())
        if index is None or index < skip_to:
            continue
        after = index + 1
        while after < len(starts) and starts[after][1] > len(match[1]):
            after += 1
        last = numbers[after] if after < len(starts) else end_of_file
        found.append((match[3], match[1], previous, numbers[index], last))
        previous, skip_to = last, after
    return found


def _any_in(ordered: list[int], first: int, end: int) -> bool:
    at = bisect_left(ordered, first)
    return at < len(ordered) and ordered[at] < end


def _line_numbers(source: bytes, offsets: list[int]) -> list[int]:
    numbers, line, at = [], 1, 0
    for offset in offsets:
        line += source.count(b"\n", at, offset)
        numbers.append(line)
        at = offset
    return numbers


def _units(body: list[ast.stmt], scope: str) -> Iterator[Unit]:
    for node in body:
        first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
        last = node.end_lineno or first
        prefix = f"{scope}." if scope else ""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Unit(prefix + node.name, scope, first, last, _Text(node))
        elif isinstance(node, ast.ClassDef):
            name = prefix + node.name
            yield Unit("", name, first, max(first, node.body[0].lineno - 1), _Text(_head_of(node)))
            yield from _units(node.body, name)
        elif isinstance(node, (ast.If, ast.Try)) and _defines(node):
            if isinstance(node, ast.If):
                yield Unit("", scope, node.test.lineno, node.test.end_lineno or first, _Text(node.test))
            yield from _units(_inside(node), scope)
        else:
            yield Unit("", scope, first, last, _Text(node))


class _Text:
    """The tree as text, made once and only if asked for."""

    def __init__(self, node: ast.AST) -> None:
        self._node = node
        self._text: str | None = None

    def __call__(self) -> str:
        if self._text is None:
            self._text = _normal(self._node)
        return self._text


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


def by_indentation(source: bytes, lines: Lines | None) -> list[str]:
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
