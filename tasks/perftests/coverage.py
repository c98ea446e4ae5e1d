"""Lines that a unified diff adds and removes, with their numbers; and the lines among them that a trace can show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Literal

from tasks.code.edits import edits_of
from tasks.code.python import PARSING
from tasks.sandbox import foreign

IN_FUNCTION = 0x2  # inspect.CO_NEWLOCALS: bodies of functions, lambdas and comprehensions, not of classes and modules


def changed_lines(patch: str, side: Literal["base", "human"]) -> dict[str, dict[int, str]]:
    """Path -> number -> text of the lines that a diff removes (`base`) or adds (`human`)."""
    found: dict[str, dict[int, str]] = {}
    for edit in edits_of(patch):
        if side == "base" and edit.sign == "-":
            found.setdefault(edit.old_path, {})[edit.old_line] = edit.text
        elif side == "human" and edit.sign == "+":
            found.setdefault(edit.new_path, {})[edit.new_line] = edit.text
    return found


def added_lines(patch: str) -> dict[str, list[str]]:
    """Path -> texts of the lines that it gains."""
    return {path: list(lines.values()) for path, lines in changed_lines(patch, "human").items()}


def removed_lines(patch: str) -> dict[str, list[str]]:
    """Path -> texts of the lines that it loses."""
    return {path: list(lines.values()) for path, lines in changed_lines(patch, "base").items()}


def executable(checkout: Path, path: str) -> set[int]:
    """Numbers of the lines of a Python file that run when functions are called; none if it cannot be compiled."""
    try:
        with PARSING:
            module = compile(foreign.read(checkout, path), path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return set()
    return {line for code in _codes(module) if code.co_flags & IN_FUNCTION for line in _numbers(code)}


def changed_executable(
    patch: str, side: Literal["base", "human"], checkout: Path, paths: Collection[str]
) -> dict[str, set[int]]:
    """Path -> changed lines that run when functions are called, of the Python files of a checkout among `paths`."""
    found = {}
    for path, lines in changed_lines(patch, side).items():
        wanted = path in paths and path.endswith(".py")
        numbers = set(lines) & executable(checkout, path) if wanted else set()
        if numbers:
            found[path] = numbers
    return found


def share(wanted: Mapping[str, set[int]], seen: Mapping[str, Iterable[int]]) -> float | None:
    """Share of the wanted lines that a trace went through, from 0 to 1; None without a wanted line."""
    total = sum(len(numbers) for numbers in wanted.values())
    hit = sum(len(numbers & set(seen.get(path, ()))) for path, numbers in wanted.items())
    return hit / total if total else None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _numbers(code: CodeType) -> Iterator[int]:
    """Its lines but the first, which is that of `def`, unless there is no other."""
    numbers = {line for _, _, line in code.co_lines() if line}
    yield from (numbers - {code.co_firstlineno}) or numbers
