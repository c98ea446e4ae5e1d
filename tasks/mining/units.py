"""A file as pieces that can be compared: functions, and statements outside of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tasks import cython_source, grammars

Lines = set[int]
"""Line numbers, from 1."""


@dataclass(frozen=True)
class Unit:
    """One piece. Equal texts mean that nothing differs that could matter when the code runs."""

    name: str
    """Of a function, qualified with dots; empty for the head of a class and for statements."""
    scope: str
    """The class (namespace, `impl`) that it belongs to; empty at the top of the file."""
    first: int
    last: int
    text: Callable[[], str]

    def holds(self, lines: Lines) -> bool:
        """Whether one of the lines is in it."""
        if len(lines) < self.last - self.first:
            return any(self.first <= line <= self.last for line in lines)
        return any(line in lines for line in range(self.first, self.last + 1))


def read_compiled(path: str, source: bytes) -> list[Unit]:
    """Units of a C, C++, CUDA, Rust or Cython file. A name in a template (`@TYPE@_add`) has `_` for `@`."""
    grammar = grammars.grammar_of(path)
    if grammar in ("cython", "python"):
        return [
            Unit(item.name, item.scope, item.first, item.last, item.text) for item in cython_source.definitions(source)
        ]
    return [
        Unit(item.name, item.scope, item.first, item.last, item.text) for item in grammars.definitions(path, source)
    ]


def functions_by_name(units: Iterable[Unit], names: set[str]) -> dict[str, list[str]]:
    """Name -> texts. There may be several: a property and its setter, branches of an `if` or `#if`, overloads."""
    found: dict[str, list[str]] = {}
    for unit in units:
        if unit.name and unit.name in names:
            found.setdefault(unit.name, []).append(unit.text())
    return found
