"""Callers that no name shows: methods looked up by a computed name, functions that a decorator puts into a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.apis.graph import Graph
from tasks.apis.nodes import Node


def dispatchers(graph: Graph, node: Node) -> Iterator[tuple[str, bool]]:
    """Definitions that call it by a name of which they compute the end: certain within a family of classes."""
    for prefix, caller in graph.dispatching:
        if not node.definition.name.startswith(prefix) or caller.id == node.id:
            continue
        if node.owner is None:
            if caller.module.name == node.module.name:
                yield caller.id, False
        elif caller.owner is not None and node.owner in _family(graph, caller.owner):
            yield caller.id, True


def registrars(graph: Graph, node: Node) -> Iterator[tuple[str, bool]]:
    """Definitions that may call a decorated function: what its decorator belongs to, and users of the tables that
    the decorator fills. A guess in any case.
    """
    for chain in node.definition.decorators:
        lengths = range(len(chain), 0, -1)
        found = next(
            (name for length in lengths if (name := graph.find_chain(node, chain[:length])) in graph.nodes), None
        )
        if found is None or found == node.id:
            continue
        decorator = graph.nodes[found]
        if decorator.definition.kind == "function" and not found.endswith(chain[-1]):
            yield found, False  # `@render.register(int)`
        own = [found] if decorator.definition.kind in ("variable", "callable") else []
        for table in [*own, *_tables_of(graph, decorator)]:
            yield from ((user, False) for user in graph.users(table) if user not in (found, node.id))


def _family(graph: Graph, class_id: str) -> set[str]:
    return {*graph.lineage(class_id), *graph.descendants(class_id)}


def _tables_of(graph: Graph, decorator: Node) -> list[str]:
    """Variables that a decorator mentions."""
    found = (graph.find_chain(decorator, chain[:1]) for chain in decorator.definition.mentions)
    return sorted({name for name in found if name in graph.nodes and graph.nodes[name].definition.kind == "variable"})
