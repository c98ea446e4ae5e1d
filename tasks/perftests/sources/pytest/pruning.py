"""Cuts a test module down to the wanted tests, so that a person can read it."""

from __future__ import annotations

import ast
import re

from tasks.code.python import lines_of, parse
from tasks.perftests.targets import FunctionNode


def keep_tests(text: str, names: set[str]) -> str:
    """The module with only these tests (`function` or `Class.method`).

    Everything else stays: imports, helpers, fixtures, classes that something left refers to. A text that is not Python
    is returned as it is.
    """
    try:
        tree = parse(text)
    except (SyntaxError, ValueError):
        return text
    lines = lines_of(text, keepends=True)
    drop: list[tuple[int, int]] = []
    classes: list[ast.ClassDef] = []
    for node in tree.body:
        if isinstance(node, FunctionNode) and node.name.startswith("test") and node.name not in names:
            drop.append(_span(node))
        elif isinstance(node, ast.ClassDef) and _tests_in(node):
            if any(name.startswith(f"{node.name}.") for name in names):
                unwanted = [child for child in _tests_in(node) if f"{node.name}.{child.name}" not in names]
                drop.extend(_span(child) for child in unwanted)
            else:
                classes.append(node)
    while True:  # a test class that is a base or a helper of what is left must stay
        gone = drop + [_span(node) for node in classes]
        left = _without(lines, gone)
        needed = [node for node in classes if re.search(rf"\b{re.escape(node.name)}\b", left)]
        if not needed:
            break
        classes = [node for node in classes if node not in needed]
    try:
        parse(left)
    except SyntaxError:
        return text  # e.g. a class whose only members were tests
    return re.sub(r"\n{4,}", "\n\n\n", left).strip("\n") + "\n"


def _tests_in(node: ast.ClassDef) -> list[FunctionNode]:
    return [child for child in node.body if isinstance(child, FunctionNode) and child.name.startswith("test")]


def _span(node: FunctionNode | ast.ClassDef) -> tuple[int, int]:
    """First and last line, from 1, decorators included."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first, node.end_lineno or node.lineno


def _without(lines: list[str], spans: list[tuple[int, int]]) -> str:
    gone = {number for first, last in spans for number in range(first, last + 1)}
    return "".join(line for number, line in enumerate(lines, 1) if number not in gone)
