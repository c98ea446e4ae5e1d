"""What one Python file defines and what its code mentions: read from the syntax tree, independent of its place."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.code.python import parse

Chain = tuple[str, ...]
"""A mention: `("np", "array")` for `np.array`. `"?"` first: an attribute of something unknown. `"super()"` first: a
method of the base classes. `"new()", "pkg", "Class", "=", "run"`: an attribute of what `pkg.Class(...)` returned."""

UNKNOWN, SUPER, NEW, OF = "?", "super()", "new()", "="
_EMPTY = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
"""Nodes that bear neither name nor code."""


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
            names, stars = _imported(node)
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
                summary.definitions[definition.name] = definition


def _definitions(node: ast.stmt, receiver: bool = False) -> list[Definition]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [_function(node, receiver)]
    if isinstance(node, ast.ClassDef):
        return [_class(node)]
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)]
        mentions = _Mentions(set(), None)
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
    below = _all_below(node)
    local = {item.arg for item in every if item.arg != receiver}
    local |= {item.id for item in below if type(item) is ast.Name and type(item.ctx) is ast.Store}
    mentions = _Mentions(local, receiver)
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
    )


def _class(node: ast.ClassDef) -> Definition:
    definition = Definition(node.name, "class", node.lineno)
    definition.bases = [chain for base in node.bases if (chain := chain_of(_unsubscripted(base))) is not None]
    mentions = _Mentions(set(), None)
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


def _all_below(node: ast.AST) -> list[ast.AST]:
    """The node and all below it, level by level as `ast.walk` has them, without what bears neither name nor code."""
    found = [node]
    for item in found:  # grows meanwhile
        found += _children(item)
    return found


def _children(node: ast.AST) -> list[ast.AST]:
    children: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if type(value) is list:
            children += [item for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, _EMPTY):
            children.append(value)
    return children


class _Mentions:
    """Collects chains of names and attributes from code."""

    def __init__(self, local: set[str], receiver: str | None) -> None:
        self.found: set[Chain] = set()
        self.imports: dict[str, str] = {}
        self._local = local
        self._receiver = receiver
        self._made_by: dict[str, Chain] = {}

    def learn(self, nodes: list[ast.AST]) -> None:
        """Remember local names that hold what one call returned: `tree = Tree(...)`."""
        for item in nodes:
            if type(item) is ast.Assign and len(item.targets) == 1 and isinstance(item.targets[0], ast.Name):
                maker = chain_of(item.value.func) if isinstance(item.value, ast.Call) else None
                name = item.targets[0].id
                if maker is None or self._made_by.get(name, maker) != maker:
                    self._made_by.pop(name, None)
                elif maker[0] not in self._local:
                    self._made_by[name] = maker

    def learn_annotation(self, name: str, annotation: ast.expr | None) -> None:
        """Remember what an argument is said to be."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            parts = annotation.value.split(".")
            if all(part.isidentifier() for part in parts):
                self._made_by[name] = tuple(parts)
        elif annotation is not None and (chain := chain_of(annotation)) is not None:
            self._made_by[name] = chain

    def visit(self, node: ast.AST) -> None:
        """Collect what a node and all below it mention."""
        # NodeVisitor would look for a method by name at every node: half of the time that reading a repository takes
        kind = type(node)
        if kind is ast.Name:
            if type(node.ctx) is ast.Load and node.id not in self._local:  # type: ignore[attr-defined]
                self.found.add((node.id,))  # type: ignore[attr-defined]
        elif kind is ast.Attribute:
            self._visit_attribute(node)  # type: ignore[arg-type]
        elif kind is ast.Lambda:
            self._visit_lambda(node)  # type: ignore[arg-type]
        elif kind is ast.Import or kind is ast.ImportFrom:
            self.imports.update(_imported(node)[0])  # type: ignore[arg-type]
        elif kind is not ast.Constant:
            for item in _children(node):
                self.visit(item)

    def _visit_lambda(self, node: ast.Lambda) -> None:
        hidden = {item.arg for item in ast.walk(node.args) if isinstance(item, ast.arg)} - {"self"} - self._local
        self._local |= hidden
        self.visit(node.args)
        self.visit(node.body)
        self._local -= hidden

    def _visit_attribute(self, node: ast.Attribute) -> None:
        chain = chain_of(node)
        if chain is None:
            inner = node.value
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id == "super":
                self.found.add((SUPER, node.attr))
            elif isinstance(inner, ast.Call) and (maker := chain_of(inner.func)) and maker[0] not in self._local:
                self.found.add((NEW, *maker, OF, node.attr))
            else:
                self.found.add((UNKNOWN, node.attr))
            self.visit(inner)
        elif chain[0] in self._made_by:
            self.found.add((NEW, *self._made_by[chain[0]], OF, chain[1]))
            self.found.update((UNKNOWN, part) for part in chain[2:])
        elif chain[0] in self._local:
            self.found.update((UNKNOWN, part) for part in chain[1:])
        else:
            self.found.add(chain)


def chain_of(node: ast.expr) -> Chain | None:
    """`a.b.c` as a tuple; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else None


def _unsubscripted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node  # Generic[T]


def _imported(node: ast.Import | ast.ImportFrom) -> tuple[dict[str, str], list[str]]:
    if isinstance(node, ast.Import):
        return {
            item.asname or item.name.split(".")[0]: item.name if item.asname else item.name.split(".")[0]
            for item in node.names
        }, []
    module = "." * node.level + (node.module or "")
    joint = "" if module.endswith(".") or not module else "."
    names = {item.asname or item.name: f"{module}{joint}{item.name}" for item in node.names if item.name != "*"}
    return names, [module] if any(item.name == "*" for item in node.names) else []


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
