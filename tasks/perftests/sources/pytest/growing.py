"""Tests with more input, for tests without a number for its size: their texts and lists, ten or a hundred times.

`assert parse('select 1')` holds no size, and its input is too short to show a change of complexity. In a grown
version the texts and lists that the test hands to calls, keeps under a name or gets as parameters are repeated, and
its assertions compute their sides without comparing them, because the expectation for the short input does not hold for
the long one. Values that a grown version sees of the changed functions are compared as always; a version whose calls
raise is not used.
"""

from __future__ import annotations

import ast
import copy
import re
import textwrap

from tasks.code.python import parse
from tasks.perftests.targets import FunctionNode

FACTORS = {"grown_100": 100, "grown_10": 10}
"""What is appended to the name of a test -> how often its input is repeated."""
LEAST = 8
"""Shorter texts are choices (`'upper'`) rather than input."""
_SEPARATORS = ("\n", ";", ",", "&", " ")
"""What stands between two copies of a text: the first of these that it holds itself."""
_KEPT = frozenset({
    "split", "rsplit", "strip", "lstrip", "rstrip", "replace", "startswith", "endswith", "find", "index", "count",
    "encode", "decode", "format", "get", "getattr", "setattr", "hasattr", "isinstance", "open", "print", "fail", "skip",
    "raises", "warns", "match", "compile", "import_module", "importorskip", "param", "patch", "setenv", "getenv",
})  # fmt: skip
"""Calls whose arguments are not input."""
_CATCHES = re.compile(r"raises|warn|logs", re.IGNORECASE)
"""In the name of an assertion that runs what it is given."""


def grown(function: FunctionNode, suffix: str) -> str | None:
    """The text of a test's version with repeated input, indented as the test is; None if it has none to repeat."""
    growing = _Growing(FACTORS[suffix])
    version = copy.deepcopy(function)
    version.name = f"{function.name}__{suffix}"
    if ast.get_docstring(version, clean=False) is not None:
        version.body = version.body[1:] or [ast.Pass()]
    version.body = [item for statement in version.body for item in _listed(growing.visit(statement))]
    given = _given(version)
    version.body[:0] = [_regrown(name, FACTORS[suffix]) for name in given]
    if not growing.found and not given:
        return None
    return textwrap.indent(ast.unparse(ast.fix_missing_locations(version)), " " * function.col_offset) + "\n"


class _Growing(ast.NodeTransformer):
    """Repeats input and disarms assertions."""

    def __init__(self, factor: int) -> None:
        self.found = 0
        self._factor = factor

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        return self._computed([self.visit(node.test)])

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        call = self.visit(node.value)
        name = _name(call.func) if isinstance(call, ast.Call) else ""
        judges = "assert" in name.lower() and not _CATCHES.search(name)
        return self._computed(call.args) if judges else ast.Expr(call)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _name(node.func) not in _KEPT:
            node.args = [self._repeated(item) for item in node.args]
            for keyword in node.keywords:
                keyword.value = self._repeated(keyword.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if all(isinstance(target, ast.Name) for target in node.targets):
            node.value = self._repeated(node.value)
        return node

    def _repeated(self, node: ast.expr) -> ast.expr:
        """The expression that many times, if it is input."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and len(node.value) >= LEAST:
            node = ast.Constant(_separated(node.value))
        elif not (isinstance(node, ast.List) and len(node.elts) > 1):
            return node
        self.found += 1
        return ast.BinOp(node, ast.Mult(), ast.Constant(self._factor))

    def _computed(self, parts: list[ast.expr]) -> ast.stmt:
        """A statement that computes what an assertion compares, and compares nothing."""
        sides: list[ast.expr] = []
        for part in parts:
            sides += [part.left, *part.comparators] if isinstance(part, ast.Compare) else [part]
        return ast.Expr(ast.Tuple(sides, ast.Load()))


def _separated(text: str | bytes) -> str | bytes:
    """A text followed by what stands between two copies of it; nothing follows one whose last item has its own end."""
    if isinstance(text, bytes):
        return str(_separated(text.decode("latin-1"))).encode("latin-1")
    found = next((mark for mark in _SEPARATORS if mark in text), "")
    if found.strip(" ") and text.rstrip(" ").endswith(found):
        return text
    if found == "\n":
        return text + ("\r\n" if "\r\n" in text else found)
    return text + (f"{found} " if f"{found} " in text and found != " " else found)


def _given(function: FunctionNode) -> list[str]:
    """Parameters whose values `pytest.mark.parametrize` lists."""
    names: list[str] = []
    for item in function.decorator_list:
        if isinstance(item, ast.Call) and _name(item.func) == "parametrize" and item.args:
            first = item.args[0]
            parts = first.elts if isinstance(first, ast.List | ast.Tuple) else [first]
            said = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            names += [name.strip() for text in said for name in text.split(",")]
    taken = {argument.arg for argument in function.args.args}
    return [name for name in names if name in taken]


def _regrown(name: str, factor: int) -> ast.stmt:
    """Makes a parameter long where it is a text or a list."""
    long = f"len({name}) >= {LEAST}"
    mark = f"'\\n' if '\\n' in {name} else ' ' if ' ' in {name} else ''"
    return parse(
        f"{name} = ({name} + ({mark})) * {factor} if isinstance({name}, str) and {long} "
        f"else {name} * {factor} if isinstance({name}, (bytes, list)) and {long} else {name}"
    ).body[0]


def _listed(node: ast.stmt | list[ast.stmt]) -> list[ast.stmt]:
    return node if isinstance(node, list) else [node]


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
