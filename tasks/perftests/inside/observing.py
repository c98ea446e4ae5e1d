"""Keeps what the calls of a repository's own tests and benchmarks came to. Inside sandboxes, as a part of other texts.

Standard library only, syntax of Python 3.8. Its text follows that of `values.py`, whose names it uses.

Files of the suite are imported with the values of some of their expressions handed to a keeper as well: `assert
top(text)[0]` becomes `assert keep(7, top(text))[0]`. So nothing of the project is wrapped, and what is seen is what the
test itself sees: a patch may change what lies behind. While a call is timed the keeper appends a reference, about 0.1
us; values are told (`plain`) when the clock has stopped, as they are then.

A place is `path::function#number`: number in its outermost function, in the order of the text. A `+` follows where what
a call was given is looked at once it is done.
"""

from __future__ import annotations

import ast
import importlib.machinery
import math
import os
import random
import sys
from collections.abc import Callable, Iterable
from typing import Any

if "plain" not in globals():  # in a sandbox these texts are one module
    from tasks.perftests.inside.values import LEFT, MOST_WORK, plain

NAME = "@keep"  # no identifier, so no test can mean another
MOST = 10_000  # values of one call of a body that are kept
AFTER = "+"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
VALUES = (ast.Call, ast.BinOp, ast.Compare, ast.Subscript, ast.Attribute, ast.ListComp, ast.SetComp, ast.DictComp,
          ast.Await)  # fmt: skip


class Keeper:
    """What was seen since it was told to look."""

    def __init__(self) -> None:
        self.room = 0
        self.seen: list[tuple[str, Any]] = []

    def keep(self, place: str, value: Any) -> Any:
        """Note a value, and give it back."""
        if self.room:
            self.room -= 1
            self.seen.append((place, value))
        return value

    def run(self, body: Callable[[], Any]) -> Any:
        """Call it and look; what it returns."""
        self.room = MOST
        try:
            return body()
        finally:
            self.room = 0

    def take(self) -> list[tuple[str, Any]]:
        """What was seen, in order, and nothing from now on."""
        seen, self.seen = self.seen, []
        return seen


KEEPER = Keeper()


def told(seen: list[tuple[str, Any]]) -> list[list[Any]]:
    """[place, value as JSON] of what was seen; past MOST_WORK only the types of values."""
    LEFT[0] = MOST_WORK
    try:
        return [[place, plain(value)] for place, value in seen]
    finally:
        LEFT[0] = math.inf


def told_once(calls: list[list[tuple[str, Any]]]) -> list[list[list[Any]]]:
    """What was seen in some calls of one body: of the first, and of those that differ from all before, so that it does
    not depend on how often the body is called."""
    found: list[list[list[Any]]] = []
    for seen in calls:
        one = told(seen)
        if one not in found:
            found.append(one)
    return found


def chosen_calls(number: int, seed: int) -> set[int]:
    """Which of `number` calls are looked at: the first, the last, and two that the seed chooses, the same for all
    arms. More would keep so many objects alive that collecting garbage takes time of its own."""
    generator = random.Random(seed)
    return {0, number - 1, generator.randrange(number), generator.randrange(number)}


def observe_imports(root: str, places: Iterable[str] | None, keeper: Keeper) -> None:
    """From now on, modules below `root` are imported with these places observed; with None, all."""
    sys.meta_path.insert(0, Finder(root, None if places is None else set(places), keeper))


class Finder:
    """Finds modules as Python does, and has those of the suite loaded by `Loader`."""

    def __init__(self, root: str, places: set[str] | None, keeper: Keeper) -> None:
        self.root, self.places, self.keeper = os.path.join(root, ""), places, keeper

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """See importlib.abc.MetaPathFinder."""
        spec: Any = importlib.machinery.PathFinder.find_spec(name, path, target)
        origin = os.path.realpath(spec.origin) if spec is not None and spec.origin else ""
        if not origin.startswith(self.root) or not origin.endswith(".py"):
            return None
        loader = spec.loader = Loader(name, origin)
        loader.suite, loader.places, loader.keeper = origin[len(self.root) :], self.places, self.keeper
        return spec


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles a module with some of its places observed."""

    suite = ""
    places: set[str] | None = None
    keeper = KEEPER

    def source_to_code(self, data: Any, path: Any, **options: Any) -> Any:  # type: ignore[override]
        """As the text stands, if it cannot be changed."""
        try:
            tree = Rewriter(self.suite, self.places).visit(ast.parse(data))
            return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
        except Exception:
            return super().source_to_code(data, path, **options)

    def exec_module(self, module: Any) -> None:
        """With the keeper among its names."""
        module.__dict__[NAME] = self.keeper.keep
        super().exec_module(module)


class Rewriter(ast.NodeTransformer):
    """Hands values in the bodies of functions to the keeper."""

    def __init__(self, path: str, places: set[str] | None) -> None:
        self.path, self.places = path, places
        self.scope: list[str] = []
        self.function = ""
        self.numbers: dict[str, int] = {}

    def visit(self, node: Any) -> Any:
        """Of functions and classes the body alone: no decorators, defaults or annotations."""
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            return self.visit_definition(node)
        if (
            isinstance(node, VALUES)
            and self.function
            and isinstance(getattr(node, "ctx", None), (ast.Load, type(None)))
        ):
            return self.visit_value(node)
        return super().visit(node)

    def visit_definition(self, node: Any) -> Any:
        """Functions in functions belong to the outermost."""
        self.scope.append(node.name)
        outermost = not self.function and isinstance(node, FUNCTIONS)
        if outermost:
            self.function = ".".join(self.scope)
        body: list[Any] = []
        for statement in node.body:
            changed = self.visit(statement)
            body += changed if isinstance(changed, list) else [changed]
        node.body = body
        if outermost:
            self.function = ""
        self.scope.pop()
        return node

    def visit_value(self, node: Any) -> Any:
        """The value of an expression."""
        place = self.place()
        if isinstance(node, ast.Await):
            node.value = self.inner(node.value)
        else:
            node = self.inner(node)
        bare_super = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
        return node if bare_super else self.kept(place, node)

    def inner(self, node: Any) -> Any:
        """What is in an expression; the function that is called is left alone."""
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                node.func.value = self.visit(node.func.value)
            elif not isinstance(node.func, ast.Name):
                node.func = self.visit(node.func)
            node.args = [self.visit(item) for item in node.args]
            node.keywords = [self.visit(item) for item in node.keywords]
            return node
        return self.generic_visit(node)

    def visit_Expr(self, node: Any) -> Any:
        """A call for the sake of what it does: what it was given is looked at when it is done."""
        call = node.value
        given = [] if not isinstance(call, ast.Call) else [name for name in givens(call) if self.function]
        place = f"{self.place()}{AFTER}" if given else ""
        node = self.generic_visit(node)
        if not given or not self.wanted(place):
            return node
        elements: list[Any] = [ast.copy_location(reading(name), node) for name in given]
        look = ast.Expr(self.kept(place, ast.Tuple(elements, ast.Load())))
        return [node, ast.copy_location(look, node)]

    def visit_For(self, node: Any) -> Any:
        """What a loop goes over, item by item."""
        place = self.place() if self.function else ""
        names = [name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)]
        node = self.generic_visit(node)
        if names and place and self.wanted(place):
            elements: list[Any] = [ast.Name(name, ast.Load()) for name in names]
            look = ast.Expr(self.kept(place, ast.Tuple(elements, ast.Load())))
            node.body.insert(0, ast.copy_location(look, node))
        return node

    def visit_AnnAssign(self, node: Any) -> Any:
        """Not the annotation."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_match_case(self, node: Any) -> Any:
        """Not the pattern."""
        node.guard = None if node.guard is None else self.visit(node.guard)
        body: Any = self.generic_visit(ast.Module(node.body, []))
        node.body = body.body
        return node

    def place(self) -> str:
        """The next place of this function."""
        number = self.numbers[self.function] = self.numbers.get(self.function, -1) + 1
        return f"{self.path}::{self.function}#{number}"

    def wanted(self, place: str) -> bool:
        """Whether it is to be observed."""
        return self.places is None or place in self.places

    def kept(self, place: str, node: Any) -> Any:
        """The expression, its value kept."""
        if not self.wanted(place):
            return node
        call = ast.Call(ast.Name(NAME, ast.Load()), [ast.Constant(place), node], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


def givens(call: Any) -> list[str]:
    """Names, and attributes of `self`, that a call is made on or given."""
    parts = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    parts += [*call.args, *(keyword.value for keyword in call.keywords)]
    found = []
    for part in parts:
        if isinstance(part, ast.Name) and part.id not in ("self", "cls", "pytest"):
            found.append(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
            found.append(f"self.{part.attr}")
    return found


def reading(name: str) -> Any:
    """The expression that reads a name or an attribute of self."""
    first, _, attribute = name.partition(".")
    read: Any = ast.Name(first, ast.Load())
    return ast.Attribute(read, attribute, ast.Load()) if attribute else read
