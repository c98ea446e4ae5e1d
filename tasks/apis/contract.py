"""What a change does to the public contract: names added, names removed, signatures changed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import Parameter, Signature

from tasks.apis.graph import Graph
from tasks.apis.surface import PublicNames, public_names
from tasks.code.python import parse

_CONSTRUCTORS = ("__init__", "__new__")
_EMPTY = Parameter.empty
_PLACES = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class ContractChange:
    """The difference between two manifests. All lists are sorted by name."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[tuple[str, str, str]] = field(default_factory=list)
    """(name, signature before, signature after); annotations alone are no change."""
    breaking: list[str] = field(default_factory=list)
    """Names removed, and those that no longer take every call that they took."""


def manifest_of(graph: Graph, public: PublicNames | None = None) -> dict[str, str]:
    """Public name -> signature: of functions and methods as written, of classes that of the constructor.

    Empty where there is none to read: classes without a constructor of their own, callables made by a call.
    """
    found: dict[str, str] = {}
    for node_id, names in (public if public is not None else public_names(graph)).in_any_order():
        node = graph.nodes[node_id]
        special = node.owner is not None and node.definition.name.startswith("__")
        if special and node.definition.name not in _CONSTRUCTORS:
            continue
        for name in names:
            found[name] = node.definition.signature or found.get(name, "")
    return found


def compare(before: dict[str, str], after: dict[str, str]) -> ContractChange:
    """The difference between the manifests of base and of the change."""
    added = sorted(after.keys() - before.keys())
    removed = sorted(before.keys() - after.keys())
    changed, breaking = [], list(removed)
    # most names are as they were, and what one method changed stands under each class that inherits it
    other = [name for name, old in before.items() if old and old != (after.get(name) or old)]
    verdicts: dict[tuple[str, str], tuple[bool, bool]] = {}
    for name in sorted(other):
        pair = old, new = before[name], after[name]
        if pair not in verdicts:
            verdicts[pair] = _differ(old, new)
        is_changed, is_breaking = verdicts[pair]
        if is_changed:
            changed.append((name, old, new))
        if is_breaking:
            breaking.append(name)
    return ContractChange(added, removed, changed, sorted(breaking))


def _differ(old: str, new: str) -> tuple[bool, bool]:
    """(whether more than annotations differ, whether some call fits no more)"""
    left, right = _arguments(old), _arguments(new)
    if left is None or right is None:
        return True, True
    is_changed = _plain(left) != _plain(right)
    return is_changed, is_changed and not accepts(left, right)


def accepts(before: ast.arguments, after: ast.arguments) -> bool:
    """Whether every call that fits the old arguments fits the new ones, and means the same argument by each place.

    Decided by trying: calls with every number of positional arguments, the rest by name, each optional one alone.
    """
    old, new = _signature(before), _signature(after)
    for positional, by_name in _calls(old, len(new.parameters) + 1):
        try:
            bound = new.bind(*positional, **dict.fromkeys(by_name))
        except TypeError:
            return False
        names = [name for name in new.parameters if name in bound.arguments]
        for place, name in zip(names, positional, strict=False):
            # what was called `a` must not be called `b` now if `a` is still there
            if place != name and name in new.parameters and new.parameters[name].kind is not Parameter.POSITIONAL_ONLY:
                return False
    return True


def _calls(old: Signature, more: int) -> Iterator[tuple[list[str], list[str]]]:
    """(names given by place, names given by name) of calls that fit, with up to `more` for `*args`."""
    places = [item.name for item in old.parameters.values() if item.kind in _PLACES]
    kinds = {item.kind for item in old.parameters.values()}
    extra = [f"_{number}" for number in range(more)] if Parameter.VAR_POSITIONAL in kinds else []
    other = ["_other"] if Parameter.VAR_KEYWORD in kinds else []
    for count in range(len(places) + len(extra) + 1):
        given = [*places, *extra][:count]
        left = [item for item in old.parameters.values() if item.name not in given and item.kind in _NAMED]
        if any(item.default is _EMPTY for item in old.parameters.values() if _needs_place(item, given)):
            continue
        required = [item.name for item in left if item.default is _EMPTY]
        yield given, required
        for name in [*(item.name for item in left if item.default is not _EMPTY), *other]:
            yield given, [*required, name]


def _needs_place(item: Parameter, given: list[str]) -> bool:
    return item.kind is Parameter.POSITIONAL_ONLY and item.name not in given


def _signature(arguments: ast.arguments) -> Signature:
    places = [*arguments.posonlyargs, *arguments.args]
    only = len(arguments.posonlyargs)
    first_optional = len(places) - len(arguments.defaults)
    found = [
        Parameter(
            item.arg,
            Parameter.POSITIONAL_ONLY if index < only else Parameter.POSITIONAL_OR_KEYWORD,
            default=None if index >= first_optional else _EMPTY,
        )
        for index, item in enumerate(places)
    ]
    if arguments.vararg:
        found.append(Parameter(arguments.vararg.arg, Parameter.VAR_POSITIONAL))
    for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(item.arg, Parameter.KEYWORD_ONLY, default=_EMPTY if default is None else None))
    if arguments.kwarg:
        found.append(Parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD))
    return Signature(found)


def _arguments(signature: str) -> ast.arguments | None:
    """None for what is not Python's: Cython's types, bindings of compiled code."""
    try:
        (made,) = parse(f"def {signature}: pass").body
    except (SyntaxError, ValueError, RecursionError):
        return None
    return made.args if isinstance(made, ast.FunctionDef) else None


def _plain(arguments: ast.arguments) -> str:
    for item in ast.walk(arguments):
        if isinstance(item, ast.arg):
            item.annotation = None
    return ast.dump(arguments)
