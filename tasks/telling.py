"""Whether a perf test's result says anything about the work, or is the same for a stub."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from tasks.code.python import parse

LONG = 4096
"""Bytes of a result that is no verdict, whatever is in it."""
FEW = 8
"""A result of more values than this is no verdict such as `passed`."""
_MAPPINGS = ("dict", "OrderedDict", "Counter")
_FORMS = frozenset({"list", "tuple", "set", "frozenset", "deque", "bytes", "bytearray"})


def says_nothing(result: bytes, script: str, fixed: bool) -> bool:
    """Whether a result (as `ProbeSession.result` gives it) is nothing or empty; or, where the workload is the same for
    every seed (`fixed`), a few values that all stand in the script's own text: a verdict, the name of a test."""
    if len(result) > LONG:
        return False
    try:
        leaves = list(_leaves(json.loads(result[1:].partition(b"\0")[2] if result[:1] == b"f" else result[1:])))
    except (ValueError, RecursionError):
        return False  # a file of a format that the script knows
    values = [leaf for leaf in leaves if leaf is not None and leaf != ""]
    if not values or not fixed or len(values) > FEW:
        return not values
    known = _constants(script)
    return all(isinstance(value, bool) or value in known for value in values)


def _leaves(value: Any) -> Iterator[Any]:
    """Scalars of a JSON value, without the keys of mappings and the names of types that encoded values begin with."""
    if isinstance(value, list) and len(value) == 2 and value[0] in _MAPPINGS and isinstance(value[1], list):
        for pair in value[1]:
            yield from _leaves(pair[1:] if isinstance(pair, list) else pair)
    elif isinstance(value, list):
        for item in value[1:] if value and isinstance(value[0], str) and value[0] in _FORMS else value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    else:
        yield value


def _constants(script: str) -> set[Any]:
    try:
        tree = parse(script)
    except (SyntaxError, ValueError):
        return set()
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float)
    }
