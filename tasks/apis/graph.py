"""Mentions of definitions in a repository, resolved lazily and backwards: from a changed function to its callers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from tasks.apis.indirect import dispatchers, registrars
from tasks.apis.mentions import DISPATCH, NEW, OF, SUPER, UNKNOWN, Chain
from tasks.apis.nodes import Module, Node, absolute_name
from tasks.apis.summary import Definition

MAX_SAME_NAME = 8
"""A method name that more classes than this define says nothing about which one is meant."""
_MARKS = {UNKNOWN, SUPER, NEW, OF, DISPATCH}
_BUILTIN_METHODS = {name for kind in (list, dict, set, str, bytes, tuple, int, float) for name in dir(kind)}


class Graph:
    """All definitions of a repository."""

    def __init__(self, modules: list[Module]) -> None:
        self.modules = {module.name: module for module in modules}
        self.nodes: dict[str, Node] = {}
        self._listed: list[Node] = []
        self._aliases: dict[str, set[str]] = {}
        self._members_named: dict[str, list[str]] = {}
        self._subclasses: dict[str, list[str]] = {}
        self._lineage: dict[str, list[str]] = {}
        self._descendants: dict[str, list[str]] = {}
        self._class_targets: dict[tuple[str, str], list[str]] = {}
        self._found: dict[str, str | None] = {}
        self._callers: dict[str, list[tuple[str, bool]]] = {}
        for module in modules:
            self._note_aliases(module.summary.imports)
            for definition in module.summary.definitions.values():
                self._add(module, definition, module.name, None)
        for node in list(self.nodes.values()):
            if node.definition.kind == "class":
                for base in self.bases(node):
                    self._subclasses.setdefault(base, []).append(node.id)

    def _add(self, module: Module, definition: Definition, scope: str, owner: str | None) -> None:
        node = Node(f"{scope}.{definition.name}", module, owner, definition)
        self.nodes[node.id] = node
        self._listed.append(node)  # of two by one name both count
        if owner is not None:
            self._members_named.setdefault(definition.name, []).append(node.id)
        self._note_aliases(definition.imports)
        for member in definition.members.values():
            self._add(module, member, node.id, node.id)

    def _note_aliases(self, imports: dict[str, str]) -> None:
        for local, target in imports.items():
            name = target.rpartition(".")[2]
            if name != local:
                self._aliases.setdefault(name, set()).add(local)

    # names

    def resolve(self, module: Module, dotted: str) -> str | None:
        """Node or module that an absolute or relative dotted name means, through re-exports; None if it is foreign."""
        name = absolute_name(module, dotted)
        return self._lookup(name) if name else None

    def exports(self, module: Module) -> dict[str, str]:
        """Public name -> node id, of a module: `__all__`, or else what has no underscore (imports in packages only).

        An `__all__` that lists nothing but submodules says nothing about functions and classes.
        """
        summary = module.summary
        names = list(summary.exported or [])
        only_modules = all(self._lookup(f"{module.name}.{name}") in self.modules for name in names)
        if summary.exported is None or summary.computed or (names and only_modules):
            names += [name for name in summary.definitions if not name.startswith("_")]
            if module.is_package:
                names += [name for name in summary.imports if not name.startswith("_")]
        found: dict[str, str] = {}
        for star in summary.stars if module.is_package or summary.exported is not None else []:
            source = absolute_name(module, star)
            if source and source in self.modules and source != module.name:
                found.update(self.exports(self.modules[source]))
        for name in names:
            target = self._lookup(f"{module.name}.{name}")
            if target and target in self.nodes:
                found[name] = target
        return found

    def _lookup(self, dotted: str) -> str | None:
        if dotted not in self._found:
            self._found[dotted] = self._find(dotted, frozenset())
        return self._found[dotted]

    def _find(self, dotted: str, seen: frozenset[str]) -> str | None:
        if dotted in seen or len(seen) > 20:
            return None
        seen = seen | {dotted}
        scope, _, name = dotted.rpartition(".")
        # a function wins over the module that it is named after, as it does after `from .f import f`
        found = self._imported(self.modules[scope], name, seen) if scope in self.modules else None
        if dotted in self.nodes or dotted in self.modules:
            return dotted if dotted in self.nodes else found or dotted
        if scope in self.modules or not scope:
            return found
        holder = self._find(scope, seen)
        if holder is None:
            return None
        elsewhere = self._find(f"{holder}.{name}", seen) if holder != scope else None
        return elsewhere or self._member(holder, name)

    def _imported(self, module: Module, name: str, seen: frozenset[str]) -> str | None:
        target = module.summary.imports.get(name)
        if target is not None:
            absolute = absolute_name(module, target)
            return self._find(absolute, seen) if absolute else None
        for star in module.summary.stars:
            source = absolute_name(module, star)
            if source in self.modules:
                found = self._find(f"{source}.{name}", seen)
                if found:
                    return found
        return None

    # classes

    def bases(self, node: Node) -> list[str]:
        """Ids of the direct bases that the repository defines."""
        found = []
        for chain in node.definition.bases:
            target = self.find_chain(node, chain)
            if target in self.nodes and target != node.id:
                found.append(target)
        return found

    def lineage(self, class_id: str) -> list[str]:
        """The class and its ancestors, nearest first."""
        if class_id not in self._lineage:
            order, pending = [], [class_id]
            while pending:
                current = pending.pop(0)
                if current not in order and current in self.nodes:
                    order.append(current)
                    pending += self.bases(self.nodes[current])
            self._lineage[class_id] = order
        return self._lineage[class_id]

    def descendants(self, class_id: str) -> list[str]:
        """All classes below."""
        if class_id not in self._descendants:
            order: dict[str, None] = {}
            pending = list(self._subclasses.get(class_id, []))
            while pending:
                current = pending.pop()
                if current not in order:
                    order[current] = None
                    pending += self._subclasses.get(current, [])
            self._descendants[class_id] = list(order)
        return self._descendants[class_id]

    def _member(self, class_id: str, name: str) -> str | None:
        return next((f"{owner}.{name}" for owner in self.lineage(class_id) if f"{owner}.{name}" in self.nodes), None)

    # callers

    def callers(self, target: str) -> list[tuple[str, bool]]:
        """(id, certain) of definitions whose code leads to the target. A guess by name alone is not certain."""
        if target not in self._callers:
            found: dict[str, bool] = {}
            for caller, certain in self._read_callers(target):
                found[caller] = certain or found.get(caller, False)
            self._callers[target] = list(found.items())
        return self._callers[target]

    def _read_callers(self, target: str) -> Iterator[tuple[str, bool]]:
        node = self.nodes[target]
        name = node.definition.name
        if node.owner is not None and name.startswith("__") and name.endswith("__"):
            # called by syntax: whoever has an instance may do it
            certain = name in ("__init__", "__new__", "__post_init__")
            yield node.owner, certain
            for below in self.descendants(node.owner):
                if self._member(below, name) == target:
                    yield below, certain
        yield from dispatchers(self, node)
        yield from registrars(self, node)
        for mention in {name, *self._aliases.get(name, ())}:
            for caller in self._mentioning.get(mention, ()):
                if caller.id != target:
                    for certain in self._leads(caller, mention, target):
                        yield caller.id, certain

    @cached_property
    def dispatching(self) -> list[tuple[str, Node]]:
        """(beginning of a computed name, definition that looks it up)"""
        found = ((chain, node) for node in self._listed for chain in node.definition.mentions)
        return [(chain[1], node) for chain, node in found if chain[0] == DISPATCH]

    def users(self, variable: str) -> list[str]:
        """Functions that mention a variable."""
        name = self.nodes[variable].definition.name
        near = (node for alias in {name, *self._aliases.get(name, ())} for node in self._mentioning.get(alias, ()))
        return [
            node.id
            for node in near
            if node.definition.kind == "function"
            and any(self.find_chain(node, chain[:1]) == variable for chain in node.definition.mentions)
        ]

    @cached_property
    def _mentioning(self) -> dict[str, list[Node]]:
        """Name -> definitions that mention it. Who only asks for names does not pay for it."""
        found: dict[str, list[Node]] = {}
        for node in self._listed:
            for name in {name for chain in node.definition.mentions for name in chain} - _MARKS:
                found.setdefault(name, []).append(node)
        return found

    def _leads(self, caller: Node, mention: str, target: str) -> Iterator[bool]:
        """For each way in which the caller's mentions of a name may mean the target, whether that is certain."""
        for chain in caller.definition.mentions:
            if mention in chain:
                for found, certain in self._targets(caller, chain):
                    if found == target:
                        yield certain

    def _targets(self, caller: Node, chain: Chain) -> Iterator[tuple[str, bool]]:
        """What one mention may lead to."""
        if chain[0] == DISPATCH:
            return
        if chain[0] == UNKNOWN:
            yield from self._by_name(chain[1])
        elif chain[0] == SUPER:
            for base in self.lineage(caller.owner)[1:] if caller.owner else []:
                if f"{base}.{chain[1]}" in self.nodes:
                    yield f"{base}.{chain[1]}", True
                    return
        elif chain[0] == NEW:
            split = len(chain) - 1 - chain[::-1].index(OF)
            made = self.find_chain(caller, chain[1:split])
            yield from self._of_class(made, chain[split + 1]) if self._is_class(made) else self._by_name(chain[-1])
            if made in self.nodes:
                yield made, True
        elif caller.owner is not None and chain[0] == caller.definition.receiver:
            if len(chain) > 1:
                yield from self._of_class(caller.owner, chain[1])
            for part in chain[2:]:
                yield from self._by_name(part)
        elif chain[0] == "self" and len(chain) > 1:
            yield from self._by_name(chain[1])  # a table of lambdas outside of the class
        else:
            yield from self._by_chain(caller, chain)

    def _by_chain(self, caller: Node, chain: Chain) -> Iterator[tuple[str, bool]]:
        # the longest part that means something: `module.table.get` mentions the table
        for length in range(len(chain), 0, -1):
            found = self.find_chain(caller, chain[:length])
            if found is None:
                continue
            if found in self.nodes:
                yield found, True
                for part in chain[length:]:
                    yield from self._by_name(part)
            return

    def _of_class(self, class_id: str | None, name: str) -> Iterator[tuple[str, bool]]:
        if class_id is None:
            return
        key = (class_id, name)
        if key not in self._class_targets:
            own = self._member(class_id, name)
            below = [f"{owner}.{name}" for owner in self.descendants(class_id) if f"{owner}.{name}" in self.nodes]
            self._class_targets[key] = [*([own] if own else []), *below]
        for target in self._class_targets[key]:
            yield target, True

    def _by_name(self, name: str) -> Iterator[tuple[str, bool]]:
        same = self._members_named.get(name, [])
        if name not in _BUILTIN_METHODS and len(same) <= MAX_SAME_NAME:
            for found in same:
                yield found, False

    def _is_class(self, found: str | None) -> bool:
        return found in self.nodes and self.nodes[found].definition.kind == "class"

    def find_chain(self, caller: Node, chain: Chain) -> str | None:
        """Node or module that a chain of names means where a definition stands."""
        local = caller.definition.imports.get(chain[0])
        if local is not None:
            return self.resolve(caller.module, ".".join([local, *chain[1:]]))
        if caller.owner is not None and len(chain) == 1 and caller.definition.kind != "function":
            member = f"{caller.owner}.{chain[0]}"  # a class body sees its own names
            if member in self.nodes:
                return member
        return self._lookup(".".join([caller.module.name, *chain]))
