"""The public surface of a repository: under which names its definitions can be imported."""

from __future__ import annotations

from tasks.apis.graph import Graph, Node
from tasks.apis.summary import Definition


def is_public(name: str) -> bool:
    """Whether every part of a dotted name is meant for users."""
    return not any(part.startswith("_") for part in name.split("."))


def public_names(graph: Graph) -> dict[str, list[str]]:
    """Node id -> dotted names by which a user reaches it, best first (the shortest, then where it is defined).

    Functions, callables made by a call, classes, and members of public classes, inherited ones too. A special method
    goes by its class: `pkg.Tree` for `Tree.__getitem__`.
    """
    found: dict[str, set[str]] = {}
    for module in graph.modules.values():
        if not is_public(module.name):
            continue
        for name, target in graph.exports(module).items():
            if name.startswith("_"):
                continue
            node = graph.nodes[target]
            if _is_callable(node.definition):
                found.setdefault(target, set()).add(f"{module.name}.{name}")
            elif node.definition.kind == "class":
                _add_class(graph, node, f"{module.name}.{name}", found)
    return {
        target: sorted(names, key=lambda name: _order(name, target, is_member=graph.nodes[target].owner is not None))
        for target, names in found.items()
    }


def _is_callable(definition: Definition) -> bool:
    # what a call made may be called itself, unless its name says that it is a constant: `TOKENS = frozenset(...)`
    return definition.kind == "function" or (definition.kind == "callable" and not definition.name.isupper())


def _add_class(graph: Graph, node: Node, public: str, found: dict[str, set[str]]) -> None:
    found.setdefault(node.id, set()).add(public)
    seen: set[str] = set()
    for owner in graph.lineage(node.id):
        for name, member in graph.nodes[owner].definition.members.items():
            if name in seen or not _is_callable(member):
                continue
            seen.add(name)
            if name.startswith("__") and name.endswith("__"):
                found.setdefault(f"{owner}.{name}", set()).add(public)
            elif not name.startswith("_"):
                found.setdefault(f"{owner}.{name}", set()).add(f"{public}.{name}")


def _order(name: str, target: str, *, is_member: bool) -> tuple[int, int, int, int, str]:
    # a method is best called on the class that defines it; else a short name is the documented one, if it is of a
    # package that holds the definition: others import it for their own use
    other_class = is_member and name.split(".")[-2:] != target.split(".")[-2:]
    elsewhere = not is_member and not target.startswith(name.rpartition(".")[0] + ".")
    return int(other_class), int(elsewhere), name.count("."), len(name), name
