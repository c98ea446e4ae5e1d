"""Finds the functions that a change touches, by parsing the file before and after; hunk headers are not used."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.code.native import TEMPLATES, grammar_of
from tasks.mining.functions.python_units import by_indentation, read_both
from tasks.mining.functions.units import Code, Lines, Unit, functions_by_name, read_compiled, same_codes

MODULE = "<module>"
"""Stands for statements at the top of a file that differ: constants, tables, macros."""
_HUNK = re.compile(rb"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@", re.MULTILINE)


@dataclass(frozen=True)
class TouchedFile:
    """The differences between two versions of one file."""

    functions: list[str]
    """`Class.function` of functions that exist after the change and whose code differs, in order of the file; then
    `Class` for classes whose own statements differ (bases, `__slots__`, tables), then `<module>`."""
    cosmetic: bool
    """True if only imports, comments, docstrings, annotations, whitespace or the order of definitions differ."""
    only_new: bool = False
    """True if whatever existed before is as it was: new functions and classes, no other."""
    parsed: bool = True
    """False if a side is no Python 3; functions are then found by indentation and comments count as code."""


def touched(before: bytes, after: bytes, patch: bytes, path: str = "x.py", old_path: str | None = None) -> TouchedFile:
    """Compare two versions of a file (empty: absent) in the places that its part of the patch names.

    The suffixes of `path` and `old_path` decide the language. Raises ValueError for a language that has no reader.
    """
    old_path = old_path or path
    old_lines, new_lines = changed_lines(patch)
    if grammar_of(path) == grammar_of(old_path) == "python":
        try:
            old, new = read_both(before, old_lines, after, new_lines)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            gone, existing = by_indentation(before, old_lines), by_indentation(after, new_lines)
            held = [name for side in (gone, existing) for name, holds in side.items() if holds and name in existing]
            return TouchedFile(list(dict.fromkeys(held)), False, parsed=False)
    else:
        # Python that became Cython, or C that became C++ (or the other way round), is read by one reader, so that its
        # code compares
        reader = old_path if grammar_of(old_path) == "cython" else path
        template = next((end for end in TEMPLATES if old_path.endswith(end) and not reader.endswith(end)), "")
        old, new = read_compiled(reader + template, before), read_compiled(reader, after)
    return _compare(
        [unit for unit in old if unit.holds(old_lines)],
        [unit for unit in new if unit.holds(new_lines)],
        old,
        new,
        gone=not after.strip(),
    )


def _compare(
    old_touched: list[Unit], new_touched: list[Unit], old: list[Unit], new: list[Unit], *, gone: bool
) -> TouchedFile:
    names = {unit.name for unit in [*old_touched, *new_touched] if unit.name}
    before, after = functions_by_name(old, names), functions_by_name(new, names)
    functions = [name for name, codes in after.items() if not same_codes(before.get(name), codes)]
    changed = _changed_scopes(_loose(old_touched), _loose(new_touched))
    old_scopes, new_scopes = ({unit.scope for unit in side} for side in (old, new))
    scopes = [scope for scope in dict.fromkeys(unit.scope for unit in new) if scope in changed and scope]
    only_new = not before and not any(scope in old_scopes or scope not in new_scopes or not scope for scope in changed)
    functions += scopes + ([MODULE] if "" in changed and not gone else [])
    return TouchedFile(
        functions, before.keys() == after.keys() and not functions and not changed, only_new and bool(functions)
    )


def _loose(units: list[Unit]) -> dict[str, list[Code]]:
    """Scope -> statements outside of functions that run."""
    found: dict[str, list[Code]] = {}
    for unit in units:
        if not unit.name and not unit.code.is_empty():
            found.setdefault(unit.scope, []).append(unit.code)
    return found


def _changed_scopes(old: dict[str, list[Code]], new: dict[str, list[Code]]) -> set[str]:
    """Scopes whose statements are not the same, in whatever order."""
    changed = old.keys() ^ new.keys()
    for scope in old.keys() & new.keys():
        left = list(old[scope])
        if len(left) != len(new[scope]):
            changed.add(scope)
            continue
        for code in new[scope]:
            # statements mostly keep their order, so the twin is near the front
            twin = next((index for index, other in enumerate(left) if code.same_as(other)), None)
            if twin is None:
                changed.add(scope)
                break
            del left[twin]
    return changed


def changed_lines(patch: bytes) -> tuple[Lines, Lines]:
    """Numbers of deleted lines (before) and added lines (after) in one file's part of a patch.

    On mining's hot path: `git/diff_parser.py` says why it does not use `tasks.code.diffs`.
    """
    old: Lines = set()
    new: Lines = set()
    starts = list(_HUNK.finditer(patch))
    for index, match in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(patch)
        old_at, new_at = int(match[1]), int(match[2])
        body = patch[match.end() : end]
        for line in body[body.find(b"\n") + 1 :].split(b"\n")[:-1]:
            sign = line[:1]
            if sign == b"-":
                old.add(old_at)
                old_at += 1
            elif sign == b"+":
                new.add(new_at)
                new_at += 1
            elif sign == b" ":
                old_at += 1
                new_at += 1
    return old, new
