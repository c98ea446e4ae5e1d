"""What one Python file defines and what its code mentions: read from the syntax tree, independent of its place."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.apis.mentions import Chain, Mentions, all_below, chain_of, imported
from tasks.code.python import parse


@dataclass
class Definition:
    """A function, class or variable, with what its code mentions."""

    name: str
    kind: str
    """`function`, `class`, `variable` (a value) or `callable` (a variable made by a call or a lambda)."""
    line: int = 0
    signature: str = ""
    mentions: frozenset[Chain] = frozenset()
    imports: dict[str, str] = field(default_factory=dict)
    """Names imported inside of it -> what they mean, as in `Summary.imports`."""
    receiver: str | None = None
    """Name of a method's first argument."""
    decorators: list[Chain] = field(default_factory=list)
    more_lines: list[int] = field(default_factory=list)
    """Where a variable is set again."""
    bases: list[Chain] = field(default_factory=list)
    members: dict[str, Definition] = field(default_factory=dict)


@dataclass
class Summary:
    """One module."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    """Local name -> absolute dotted name, or with leading dots a relative one: `..merge.merge_runs`."""
    stars: list[str] = field(default_factory=list)
    """Modules of `from m import *`."""
    exported: list[str] | None = None
    """`__all__`, if it can be read."""
    computed: bool = False
    """Part of `__all__` is computed: it names more than `exported` says."""
    parsed: bool = True
    """False if the file is not Python 3."""


def summarise(source: bytes) -> Summary:
    """Summary of a file; an empty one if it is not Python 3."""
    summary = Summary()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        summary.parsed = False
        return summary
    _read_body(tree.body, summary)
    return summary


def _read_body(body: Iterable[ast.stmt], summary: Summary) -> None:
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names, stars = imported(node)
            summary.imports.update(names)
            summary.stars += stars
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            for part in ("body", "orelse", "finalbody"):
                _read_body(getattr(node, part, []), summary)
            for handler in getattr(node, "handlers", []):
                _read_body(handler.body, summary)
        elif _is_all(node):
            _read_all(node, summary)
        else:
            for definition in _definitions(node):
                # the first of several branches is usually the main one, but all of their mentions count
                known = summary.definitions.get(definition.name)
                if known is not None:
                    definition.mentions |= known.mentions
                    definition.members = {**known.members, **definition.members}
                    definition.more_lines = [*known.more_lines, known.line]
                summary.definitions[definition.name] = definition


def _definitions(node: ast.stmt, receiver: bool = False) -> list[Definition]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [_function(node, receiver)]
    if isinstance(node, ast.ClassDef):
        return [_class(node)]
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)]
        mentions = Mentions(set(), None)
        if node.value is not None:
            mentions.visit(node.value)
        made = isinstance(node.value, (ast.Call, ast.Lambda, ast.Name, ast.Attribute))
        kind = "callable" if made else "variable"
        found = frozenset(mentions.found)
        own = "self" if receiver else None  # of lambdas in a table of methods
        return [Definition(name, kind, node.lineno, mentions=found, receiver=own) for name in names]
    return []


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, method: bool) -> Definition:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [item for item in (arguments.vararg, arguments.kwarg) if item]
    positional = [*arguments.posonlyargs, *arguments.args]
    static = any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in node.decorator_list)
    receiver = positional[0].arg if method and positional and not static else None
    below = all_below(node)
    local = {item.arg for item in every if item.arg != receiver}
    local |= {item.id for item in below if type(item) is ast.Name and type(item.ctx) is ast.Store}
    mentions = Mentions(local, receiver)
    for item in every:
        mentions.learn_annotation(item.arg, item.annotation)
    mentions.learn(below)
    for statement in [*node.body, *node.decorator_list, *arguments.defaults, *(d for d in arguments.kw_defaults if d)]:
        mentions.visit(statement)
    return Definition(
        node.name,
        "function",
        node.lineno,
        signature=f"{node.name}({ast.unparse(arguments)})",
        mentions=frozenset(mentions.found),
        imports=mentions.imports,
        receiver=receiver,
        decorators=[
            chain
            for item in node.decorator_list
            if (chain := chain_of(item.func if isinstance(item, ast.Call) else item)) is not None
        ],
    )


def _class(node: ast.ClassDef) -> Definition:
    definition = Definition(node.name, "class", node.lineno)
    definition.bases = [chain for base in node.bases if (chain := chain_of(_unsubscripted(base))) is not None]
    mentions = Mentions(set(), None)
    for item in [*node.decorator_list, *(keyword.value for keyword in node.keywords)]:
        mentions.visit(item)
    definition.mentions = frozenset(mentions.found)
    pending = list(node.body)
    while pending:
        statement = pending.pop(0)
        if isinstance(statement, ast.If):
            pending = [*statement.body, *statement.orelse, *pending]
        for member in _definitions(statement, receiver=True):
            known = definition.members.get(member.name)
            if known is not None:  # a property and its setter
                member.mentions |= known.mentions
            definition.members[member.name] = member
    return definition


def _unsubscripted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node  # Generic[T]


def _is_all(node: ast.stmt) -> bool:
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return (chain_of(node.value.func) or ("",))[0] == "__all__"
    return False


def _read_all(node: ast.stmt, summary: Summary) -> None:
    words = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    if isinstance(node, ast.Assign):
        summary.exported = []
    summary.exported = [*(summary.exported or []), *words]
    value = getattr(node, "value", None)
    parts = value.args if isinstance(node, ast.Expr) and isinstance(value, ast.Call) else [value]
    names = [item for part in parts if part is not None for item in ast.walk(part) if isinstance(item, ast.Name)]
    summary.computed |= any(item.id != "__all__" for item in names)
