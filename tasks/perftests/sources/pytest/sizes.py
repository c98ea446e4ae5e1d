"""Larger and smaller versions of a test: its numbers for the size of the input, all times ten or a tenth.

A test written to be correct is small, and a change of complexity does not show in it; one written to show a change of
complexity may take minutes on base. Numbers count as sizes by their place in the text: arguments of `range`, factors of
a text or a list, values of a name such as `n` or `count`; and the same number anywhere else in the same test
(`assert len(found) == 1000`). A version whose assertions no longer hold does not pass, and is not used: the text
proposes, running it decides.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from tasks.code.python import lines_of, parse
from tasks.perftests.sources.pytest import growing
from tasks.perftests.targets import FunctionNode

FACTORS = {"times_100": 100.0, "times_10": 10.0, "by_10": 0.1, "by_30": 1 / 30, "by_100": 0.01}
"""What is appended to the name of a test -> what its sizes are multiplied by."""
LEAST, MOST = 8, 10_000_000
"""Smaller numbers are choices rather than sizes; no size becomes larger than `MOST`."""
_VERSION = re.compile(rf"^(.+)__({'|'.join([*FACTORS, *growing.FACTORS])})$")
_SIZE_NAME = re.compile(
    r"(?:^|_)(?:n|num|number|count|size|length|len|depth|width|rows|cols|items|repeats?|times|total)s?$"
)


def version_of(name: str) -> tuple[str, str]:
    """(name of the test, name of the factor) of `Class.test_x__times_10`; the factor is empty for a test as it is."""
    found = _VERSION.match(name)
    return (found[1], found[2]) if found else (name, "")


def has_version(text: str, version: str) -> bool:
    """Whether a test has something for its version to change: numbers that can be scaled, input that can be
    repeated."""
    name, factor = version_of(version)
    function = _function(text, name)
    if function is None or factor in growing.FACTORS:
        return function is not None and growing.grown(function, factor) is not None
    return any(True for _ in _sizes(function))


def with_versions(text: str, names: Iterable[str]) -> str:
    """The module with the versions among the names added, each after the test that it is made of.

    A version of a test without sizes is left out.
    """
    wanted = sorted({name for name in names if version_of(name)[1]})
    added: list[tuple[int, list[bytes]]] = []
    lines = [line.encode() for line in lines_of(text, keepends=True)]
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    for name in wanted:
        test, factor = version_of(name)
        function = _function(text, test)
        if function is None:
            continue
        body = _grown(function, factor) if factor in growing.FACTORS else _resized(lines, function, factor)
        if body:
            added.append((function.end_lineno or function.lineno, [b"\n", *body]))
    for end, body in sorted(added, key=lambda item: -item[0]):
        lines[end:end] = body
    return b"".join(lines).decode()


def _grown(function: FunctionNode, factor: str) -> list[bytes]:
    text = growing.grown(function, factor)
    return [text.encode()] if text else []


def _resized(lines: list[bytes], function: FunctionNode, factor: str) -> list[bytes]:
    """The version of a test with other sizes; no line if it has none."""
    sizes = sorted(_sizes(function), key=lambda node: (node.lineno, node.col_offset), reverse=True)
    if not sizes:
        return []
    first = min([function.lineno, *(item.lineno for item in function.decorator_list)])
    body = _scaled(lines[first - 1 : function.end_lineno], first, sizes, FACTORS[factor])
    body[function.lineno - first] = body[function.lineno - first].replace(
        f"def {function.name}".encode(), f"def {function.name}__{factor}".encode(), 1
    )
    return body


def _scaled(lines: list[bytes], first: int, sizes: list[ast.Constant], factor: float) -> list[bytes]:
    """Lines of a function (its first one has the number `first`) with other sizes; `sizes` last first."""
    lines = list(lines)
    for node in sizes:
        number = max(1, min(MOST, round(node.value * factor)))  # type: ignore[arg-type, operator]
        line = lines[node.lineno - first]
        lines[node.lineno - first] = line[: node.col_offset] + str(number).encode() + line[node.end_col_offset :]
    return lines


def scaled_module(text: str, name: str) -> str:
    """A whole benchmark with all of its sizes scaled: for `main__by_10`, `main` becomes that. A text without sizes is
    returned as it is.
    """
    test, factor = version_of(name)
    try:
        tree = parse(text)
    except (SyntaxError, ValueError):
        return text
    sizes = sorted(_sizes(tree), key=lambda node: (node.lineno, node.col_offset), reverse=True)
    if not factor or not sizes:
        return text
    lines = _scaled([line.encode() for line in lines_of(text, keepends=True)], 1, sizes, FACTORS[factor])
    return re.sub(rf"^((?:async )?def {test})\(", rf"\1__{factor}(", b"".join(lines).decode(), flags=re.MULTILINE)


def _sizes(function: FunctionNode | ast.Module) -> Iterator[ast.Constant]:
    """Whole numbers of a function's body that are sizes, or equal to one; of a module, rows of growing numbers too."""
    body = [node for statement in function.body for node in ast.walk(statement)]
    helpers = {node.name: [item.arg for item in node.args.args] for node in body if isinstance(node, FunctionNode)}
    said = [constant for node in body for constant in _said_to_be_sizes(node, helpers)]
    growing = [constant for node in body for constant in _growing(node)]
    if isinstance(function, ast.Module):  # too long to say that equal numbers mean the same
        yield from {id(constant): constant for constant in [*said, *growing]}.values()
        return
    values = {constant.value for constant in said}
    yield from (node for node in body if isinstance(node, ast.Constant) and _is_whole(node) and node.value in values)


def _said_to_be_sizes(node: ast.AST, helpers: Mapping[str, list[str]]) -> Iterator[ast.Constant]:
    """`helpers`: functions inside of the test, with the names of their arguments."""
    found: list[ast.expr] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in ("range", "repeat"):
            found = list(node.args)
        names = helpers.get(node.func.id, [])
        found += [value for name, value in zip(names, node.args, strict=False) if _SIZE_NAME.search(name.lower())]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        pair = (node.left, node.right)
        found = [one for one, other in (pair, pair[::-1]) if _is_sequence(other)]
    elif isinstance(node, ast.Assign | ast.keyword) and all(_SIZE_NAME.search(name) for name in _names_set(node)):
        found = node.value.elts if isinstance(node.value, ast.Tuple | ast.List) else [node.value]
    elif isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Tuple | ast.List):
        found = node.iter.elts if all(_SIZE_NAME.search(name) for name in _names_set(node)) else []
    yield from (item for item in found if isinstance(item, ast.Constant) and _is_whole(item))


def _growing(node: ast.AST) -> list[ast.Constant]:
    """Of `(1000, 2000, 4000)` the numbers."""
    items = node.elts if isinstance(node, ast.Tuple | ast.List) else []
    numbers = [item for item in items if isinstance(item, ast.Constant) and _is_whole(item)]
    values = [item.value for item in numbers]
    return numbers if len(items) == len(numbers) > 1 and values == sorted(set(values)) else []  # type: ignore[type-var]


def _names_set(node: ast.Assign | ast.keyword | ast.For | ast.comprehension) -> list[str]:
    """What a statement names, in lower case; empty texts for what has no name."""
    if isinstance(node, ast.keyword):
        return [(node.arg or "").lower()]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id.lower() if isinstance(target, ast.Name) else "" for target in targets]


def _is_sequence(node: ast.expr) -> bool:
    """Whether a number beside it says how often it is repeated."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("join", "format", "encode")
    return isinstance(node, ast.List | ast.Tuple | ast.JoinedStr)


def _is_whole(node: ast.Constant) -> bool:
    return type(node.value) is int and LEAST <= node.value <= MOST


def _function(text: str, name: str) -> FunctionNode | None:
    try:
        body: list[ast.stmt] = parse(text).body
    except (SyntaxError, ValueError):
        return None
    *classes, last = name.split(".")
    for class_name in classes:
        body = [
            item for node in body if isinstance(node, ast.ClassDef) and node.name == class_name for item in node.body
        ]
    return next((node for node in body if isinstance(node, FunctionNode) and node.name == last), None)
