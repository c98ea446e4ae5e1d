"""Parsing Python in threads."""

from __future__ import annotations

import ast
import threading

PARSING = threading.RLock()
"""Held while anything in this process makes a syntax tree: in CPython 3.11 two threads that do so at the same time can
fail with `SystemError: AST constructor recursion depth mismatch` (python/cpython#106905)."""


def parse(source: str | bytes) -> ast.Module:
    """`ast.parse` that threads may call. Raises SyntaxError, or ValueError for null bytes."""
    with PARSING:
        return ast.parse(source)
