"""The public surface of a repository: under which names its definitions can be imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from tasks.apis.graph import Graph
from tasks.apis.nodes import Node
from tasks.apis.summary import Definition


def is_public(name: str) -> bool:
    """Whether every part of a dotted name is meant for users."""
    return not any(part.startswith("_") for part in name.split("."))


class PublicNames(Mapping[str, list[str]]):
    """Node id -> dotted names by which a user reaches it, best first (the shortest, then where it is defined)."""

    def __init__(self, graph: Graph, found: dict[str, dict[str, None]]) -> None:
        self._graph = graph
        self._found = found
        self._ordered: dict[str, list[str]] = {}

    def __getitem__(self, target: str) -> list[str]:
        # a large project has hundreds of thousands of names, and few are asked for
        if target not in self._ordered:
            is_member = self._graph.nodes[target].owner is not None
            key = partial(_order, target=target, is_member=is_member)
            self._ordered[target] = sorted(self._found[target], key=key)
        return self._ordered[target]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, target: object) -> bool:
        return target in self._found

    def in_any_order(self) -> Iterator[tuple[str, Iterable[str]]]:
        """All nodes, each with its names."""
        return iter(self._found.items())


def public_names(graph: Graph) -> PublicNames:
    """Names by which a user reaches what the repository defines.

    Functions, callables made by a call, classes, and members of public classes, inherited ones too. A special method
    goes by its class: `pkg.Tree` for `Tree.__getitem__`.
    """
    found: dict[str, dict[str, None]] = {}
    members: dict[str, list[tuple[str, str]]] = {}
    for module in graph.modules.values():
        if not is_public(module.name):
            continue
        for name, target in graph.exports(module).items():
            if name.startswith("_"):
                continue
            node = graph.nodes[target]
            if _is_callable(node.definition):
                found.setdefault(target, {})[f"{module.name}.{name}"] = None
            elif node.definition.kind == "class":
                if target not in members:
                    members[target] = list(_members(graph, node))
                public = f"{module.name}.{name}"
                found.setdefault(target, {})[public] = None
                for member, suffix in members[target]:
                    found.setdefault(member, {})[public + suffix] = None
    return PublicNames(graph, found)


def _is_callable(definition: Definition) -> bool:
    # what a call made may be called itself, unless its name says that it is a constant: `TOKENS = frozenset(...)`
    return definition.kind == "function" or (definition.kind == "callable" and not definition.name.isupper())


def _members(graph: Graph, node: Node) -> Iterator[tuple[str, str]]:
    """(node id, what follows the name of the class) of what a user reaches through a class."""
    seen: set[str] = set()
    for owner in graph.lineage(node.id):
        for name, member in graph.nodes[owner].definition.members.items():
            if name in seen or not _is_callable(member):
                continue
            seen.add(name)
            if name.startswith("__") and name.endswith("__"):
                yield f"{owner}.{name}", ""
            elif not name.startswith("_"):
                yield f"{owner}.{name}", f".{name}"


def _order(name: str, target: str, *, is_member: bool) -> tuple[int, int, int, int, str]:
    # a method is best called on the class that defines it; else a short name is the documented one, if it is of a
    # package that holds the definition: others import it for their own use
    other_class = is_member and name.split(".")[-2:] != target.split(".")[-2:]
    elsewhere = not is_member and not target.startswith(name.rpartition(".")[0] + ".")
    return int(other_class), int(elsewhere), name.count("."), len(name), name
