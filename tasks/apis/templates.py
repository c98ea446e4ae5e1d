"""The names that numpy's templates make: `@TYPE@_@func@` inside of `/**begin repeat ... #func = power, fmod# */`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_NAMES = 400
"""Of one function."""
_STEP = re.compile(r"/\*\*begin repeat(?P<keys>.*?)\*/|/\*\*end repeat", re.DOTALL)
_KEY = re.compile(r"#\s*(\w+)\s*=([^#]*)#")


@dataclass(frozen=True)
class Repeat:
    """A block that the template repeats."""

    first: int
    last: int
    """Lines, from 1."""
    values: dict[str, list[str]]
    """Placeholder -> what stands for it, one value per repetition."""


def repeats(text: str) -> list[Repeat]:
    """Blocks of a template, inner ones before those around them; one that does not end is left out."""
    found: list[Repeat] = []
    opened: list[tuple[int, dict[str, list[str]]]] = []
    line, at = 1, 0
    for step in _STEP.finditer(text):
        line += text.count("\n", at, step.start())
        at = step.start()
        if step["keys"] is not None:
            keys = re.sub(r"\n[ \t]*\*", " ", step["keys"])
            opened.append((line, {key[1]: list(_values(key[2])) for key in _KEY.finditer(keys)}))
        elif opened:
            first, values = opened.pop()
            found.append(Repeat(first, line, values))
    return found


def _values(said: str) -> Iterator[str]:
    """`a, (b, c)*2` as a, b, c: how often does not matter here."""
    for part in re.sub(r"\)\s*\*\s*\d+|[()]", "", said).split(","):
        yield re.sub(r"\s*\*\s*\d+$", "", part.strip())


def names_made(name: str, line: int, blocks: Iterable[Repeat]) -> set[str]:
    """What a function at the line is called where the template is filled in: `_TYPE___func_`, with `_` for `@`, is
    `INT_power` and others.
    """
    found = {name}
    for block in blocks:
        if not block.first <= line <= block.last:
            continue
        for key, values in block.values.items():
            mark = f"_{key}_"
            if mark in name and len(found) * len(values) <= MAX_NAMES:
                found = {made.replace(mark, value) for made in found for value in values}
    return found
