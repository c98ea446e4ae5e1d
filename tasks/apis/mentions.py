"""What a piece of Python code mentions: names and attributes, imports, names that it computes."""

from __future__ import annotations

import ast
from collections.abc import Mapping

Chain = tuple[str, ...]
"""A mention: `("np", "array")` for `np.array`. `"?"` first: an attribute of something unknown. `"super()"` first: a
method of the base classes. `"new()", "pkg", "Class", "=", "run"`: an attribute of what `pkg.Class(...)` returned.
`"getattr()", "visit_"`: whatever has a name that begins so, as in `getattr(self, f"visit_{kind}")`."""

UNKNOWN, SUPER, NEW, OF, DISPATCH = "?", "super()", "new()", "=", "getattr()"
SHORTEST_PREFIX = 3
"""Letters that a computed name must begin with to say anything."""
_EMPTY = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
"""Nodes that bear neither name nor code."""


class Mentions:
    """Collects chains of names and attributes from code."""

    def __init__(self, local: set[str], receiver: str | None) -> None:
        """`local`: names that mean nothing outside; `receiver`: the first argument of a method."""
        self.found: set[Chain] = set()
        self.imports: dict[str, str] = {}
        self._local = local
        self._receiver = receiver
        self._made_by: dict[str, Chain] = {}
        self._begins: dict[str, str] = {}

    def learn(self, nodes: list[ast.AST]) -> None:
        """Remember local names that hold what one call returned: `tree = Tree(...)`."""
        for item in nodes:
            if type(item) is ast.Assign and len(item.targets) == 1 and isinstance(item.targets[0], ast.Name):
                maker = chain_of(item.value.func) if isinstance(item.value, ast.Call) else None
                name = item.targets[0].id
                if prefix := _beginning(item.value, {}):
                    self._begins[name] = prefix
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
            self.imports.update(imported(node)[0])  # type: ignore[arg-type]
        elif kind is not ast.Constant:
            if kind is ast.Call or kind is ast.Subscript:
                self._learn_dispatch(node)
            for item in _children(node):
                self.visit(item)

    def _learn_dispatch(self, node: ast.AST) -> None:
        """`getattr(x, f"visit_{kind}")`, `globals()["do_" + name]`: a name of which only the beginning is known."""
        chosen: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            chosen = node.args[1] if len(node.args) > 1 else None
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
            table = node.value.func
            chosen = node.slice if isinstance(table, ast.Name) and table.id in ("globals", "vars", "locals") else None
        prefix = _beginning(chosen, self._begins) if chosen is not None else ""
        if len(prefix) >= SHORTEST_PREFIX:
            self.found.add((DISPATCH, prefix))

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


def _beginning(node: ast.expr, known: Mapping[str, str]) -> str:
    """How a computed text begins; empty where that is not said. `known`: of local names."""
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.JoinedStr) and node.values:
        return _beginning(node.values[0], known)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return _beginning(node.left, known).partition("%")[0]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("format", "lower", "upper", "strip", "replace", "casefold"):
            return _beginning(node.func.value, known).partition("{")[0]
        return ""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def chain_of(node: ast.expr) -> Chain | None:
    """`a.b.c` as a tuple; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else None


def imported(node: ast.Import | ast.ImportFrom) -> tuple[dict[str, str], list[str]]:
    """(local name -> what it means, modules of which everything is imported)"""
    if isinstance(node, ast.Import):
        return {
            item.asname or item.name.split(".")[0]: item.name if item.asname else item.name.split(".")[0]
            for item in node.names
        }, []
    module = "." * node.level + (node.module or "")
    joint = "" if module.endswith(".") or not module else "."
    names = {item.asname or item.name: f"{module}{joint}{item.name}" for item in node.names if item.name != "*"}
    return names, [module] if any(item.name == "*" for item in node.names) else []


def all_below(node: ast.AST) -> list[ast.AST]:
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
