"""Reading Python: files as Python itself reads them, syntax trees in threads."""

from __future__ import annotations

import ast
import io
import re
import threading
import tokenize

PARSING = threading.RLock()
"""Held while anything in this process makes a syntax tree: in CPython 3.11 two threads that do so at the same time can
fail with `SystemError: AST constructor recursion depth mismatch` (python/cpython#106905)."""
BOM = "\ufeff"
_COOKIE = re.compile(r"\A((?:[^\n]*\n)?[ \t\f]*#.*?coding[:=][ \t]*)([-\w.]+)")


def parse(source: str | bytes) -> ast.Module:
    """`ast.parse` that threads may call. Raises SyntaxError, or ValueError for null bytes and what nests too deeply."""
    if isinstance(source, str):
        source = source.removeprefix(BOM)
    try:
        with PARSING:
            return ast.parse(source)
    except (RecursionError, MemoryError) as error:
        raise ValueError("nested too deeply") from error


def source_text(data: bytes) -> str:
    """A Python file as text: without a byte order mark, in the encoding that it declares, else UTF-8, with `\\n` at the
    ends of lines. The text declares UTF-8, since that is what it is written in from now on."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        text = data.decode("utf-8", "replace")
    text = text.removeprefix(BOM).replace("\r\n", "\n").replace("\r", "\n")
    return _COOKIE.sub(lambda found: f"{found[1]}utf-8", text, count=1)


def lines_of(text: str, keepends: bool = False) -> list[str]:
    """The lines as a syntax tree and a diff count them. `str.splitlines` splits at form feeds and the like, too."""
    lines = [f"{line}\n" for line in text.split("\n")] if keepends else text.split("\n")
    last = lines.pop()
    return lines if last in ("", "\n") else [*lines, last.removesuffix("\n")]
