"""A file as pieces that can be compared: functions, and statements outside of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from tasks.code import cython, native

Lines = set[int]
"""Line numbers, from 1."""


class Code(Protocol):
    """The code of a piece, for comparisons."""

    def same_as(self, other: object) -> bool:
        """Whether both pieces run alike."""

    def is_empty(self) -> bool:
        """Whether no part of the code runs: a comment, an import."""


@dataclass(frozen=True)
class Words:
    """Code as words without comments and layout, read as far as a question needs them."""

    read: Callable[[], Iterator[str]]

    def same_as(self, other: object) -> bool:
        """Whether the words are equal."""
        return isinstance(other, Words) and all(one == two for one, two in zip_longest(self.read(), other.read()))

    def is_empty(self) -> bool:
        """Whether there are no words."""
        return next(self.read(), None) is None


@dataclass(frozen=True)
class Unit:
    """One piece."""

    name: str
    """Of a function, qualified with dots; empty for the head of a class and for statements."""
    scope: str
    """The class (namespace, `impl`) that it belongs to; empty at the top of the file."""
    first: int
    last: int
    code: Code

    def holds(self, lines: Lines) -> bool:
        """Whether one of the lines is in it."""
        if len(lines) < self.last - self.first:
            return any(self.first <= line <= self.last for line in lines)
        return any(line in lines for line in range(self.first, self.last + 1))


def read_compiled(path: str, source: bytes) -> list[Unit]:
    """Units of a C, C++, CUDA, Rust or Cython file. A name in a template (`@TYPE@_add`) has `_` for `@`."""
    grammar = native.grammar_of(path)
    found = cython.definitions(source) if grammar in ("cython", "python") else None
    return [
        Unit(item.name, item.scope, item.first, item.last, Words(item.words))
        for item in (native.definitions(path, source) if found is None else found)
    ]


def functions_by_name(units: Iterable[Unit], names: set[str]) -> dict[str, list[Code]]:
    """Name -> codes. There may be several: a property and its setter, branches of an `if` or `#if`, overloads."""
    found: dict[str, list[Code]] = {}
    for unit in units:
        if unit.name and unit.name in names:
            found.setdefault(unit.name, []).append(unit.code)
    return found


def same_codes(before: list[Code] | None, after: list[Code] | None) -> bool:
    """Whether both hold equal code in the same order."""
    if before is None or after is None or len(before) != len(after):
        return before is after
    return all(one.same_as(other) for one, other in zip(before, after, strict=True))
