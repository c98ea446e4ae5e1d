"""Reading Cython by its lines: there is no grammar to install, and for finding definitions indentation says enough.

Known limits: a definition inside of a function belongs to the function; Tempita templates are read as they stand; a
string in triple quotes that holds an odd number of further ones ends where a reader would not expect it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["def", "cdef", "cpdef", "class", "other"]

_NOISE = re.compile(
    r"(?P<string>(?:\"\"\".*?\"\"\"|'''.*?''')|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|#[^\n]*", re.DOTALL
)
_CLASS = re.compile(r"(?:cdef\s+|cpdef\s+)?(?:(?:public|api)\s+)?class\s+(\w+)")
_DEF = re.compile(r"(?:async\s+)?def\s+(\w+)")
_CDEF = re.compile(r"(cp?def)\s+(?!class\b|extern\b|struct\b|enum\b|union\b|packed\b)[^=(]*?(\w+)\s*(?:\[[^\]]*\])?\(")
_BLOCK = re.compile(r"(?:if|else|elif|try|except|finally|with|cdef\s+extern|IF|ELIF|ELSE)\b[^\n]*:\s*$|cdef\s*:\s*$")
_IMPORT = re.compile(r"(?:from\s+\S+\s+c?import|c?import)\b|__all__\b")


@dataclass(frozen=True)
class CythonDefinition:
    """A piece of the file: a function, the head of a class, or a statement outside of functions."""

    name: str
    """`Class.method`; empty for a statement."""
    scope: str
    kind: Kind
    first: int
    """Line, from 1; decorators included."""
    last: int
    code: str
    """Its lines with comments and docstrings blanked, line feeds kept."""

    def words(self) -> Iterator[str]:
        """The code without layout; nothing for imports."""
        return iter(() if _IMPORT.match(self.code.strip()) else self.code.split())


@dataclass(frozen=True)
class _Line:
    """A logical line: all physical ones that brackets or a backslash hold together."""

    indent: int
    first: int
    last: int
    text: str


def definitions(source: bytes) -> list[CythonDefinition]:
    """Definitions in order. Nothing is refused: what is not understood is a statement."""
    text = blanked(source.decode("utf-8", "replace").removeprefix("\ufeff"))
    return list(_read(list(_logical_lines(text)), text.split("\n")))


def blanked(text: str) -> str:
    """The text with comments gone, and strings that are statements (docstrings) too. Lines keep their numbers."""

    def replace(match: re.Match[str]) -> str:
        found = match[0]
        if match["string"] is None:
            return ""
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        # a string inside of an expression is code; its lines must not look like statements
        if before.strip() in ("", "r", "u") and found[:3] in ('"""', "'''"):
            return "\n" * found.count("\n")
        return found

    return _NOISE.sub(replace, text)


def _logical_lines(text: str) -> Iterator[_Line]:
    depth, start = 0, 0
    parts: list[str] = []
    quote = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not parts and not line.strip():
            continue
        if not parts:
            start = number
        parts.append(line)
        quote, balance = _balance(line, quote)
        depth = max(0, depth + balance)
        if depth == 0 and not quote and not line.rstrip().endswith("\\"):
            yield _Line(
                len(parts[0].expandtabs()) - len(parts[0].expandtabs().lstrip()), start, number, "\n".join(parts)
            )
            parts = []
    if parts:
        yield _Line(len(parts[0]) - len(parts[0].lstrip()), start, start + len(parts) - 1, "\n".join(parts))


def _balance(line: str, quote: str) -> tuple[str, int]:
    """(triple quote that is open at the end of the line, brackets opened less brackets closed)."""
    balance = 0
    for match in re.finditer(r"\"\"\"|'''|\"(?:\\.|[^\"\\])*\"|\'(?:\\.|[^\'\\])*\'|[()\[\]{}]", line):
        found = match[0]
        if quote:
            quote = "" if found == quote else quote
        elif found in ('"""', "'''"):
            quote = found
        elif len(found) == 1:
            balance += 1 if found in "([{" else -1
    return quote, balance


def _read(lines: list[_Line], physical: list[str]) -> Iterator[CythonDefinition]:
    classes: list[tuple[int, str]] = []
    decorated: int | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        while classes and line.indent <= classes[-1][0]:
            classes.pop()
        scope = ".".join(name for _, name in classes)
        statement = line.text.strip()
        at += 1
        if statement.startswith("@"):
            decorated = decorated or line.first
            continue
        first, decorated = decorated or line.first, None
        code = "\n".join(physical[first - 1 : line.last])
        opens = statement.endswith(":")
        if opens and (match := _CLASS.match(statement)):
            name = f"{scope}.{match[1]}" if scope else match[1]
            yield CythonDefinition("", name, "class", first, line.last, code)
            classes.append((line.indent, match[1]))
            continue
        found = _function(statement)
        if found is not None:
            kind, short = found
            end = at
            while end < len(lines) and lines[end].indent > line.indent:
                end += 1
            last = lines[end - 1].last
            at = end
            name = f"{scope}.{short}" if scope else short
            yield CythonDefinition(name, scope, kind, first, last, "\n".join(physical[first - 1 : last]))
        elif not (opens and _BLOCK.match(statement)):
            yield CythonDefinition("", scope, "other", first, line.last, code)


def _function(statement: str) -> tuple[Kind, str] | None:
    """(kind, name) if the statement begins a function that has a body."""
    if match := _DEF.match(statement):
        return "def", match[1]
    # a declaration has no body, and `cdef int x = f(3)` is no function
    one_line = re.search(r"\)[^()=]*:\s*\S[^()]*$", statement) is not None
    if (statement.endswith(":") or one_line) and (match := _CDEF.match(statement)):
        return ("cpdef" if match[1] == "cpdef" else "cdef"), match[2]
    return None
