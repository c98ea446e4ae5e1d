"""From changed functions to the public names that reach them: nearest first, with the path."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tasks.apis.graph import Graph
from tasks.apis.surface import PublicNames, is_public, public_names

MAX_COST = 10.0
"""Of a path: 1 per certain step, 2.5 per guess."""
GUESS_COST = 2.5
MAX_VISITED = 4000
MAX_FOUND = 240
"""Public names that one changed function is followed to."""
MAX_APIS = 30
MAX_ENTRIES = 40
"""Names of the top package that are looked at besides the `MAX_APIS` nearest: what users call is often far away."""


@dataclass(frozen=True)
class Start:
    """Where a search begins: a changed definition, or the Python name that binds a changed compiled one."""

    node: str
    path: tuple[str, ...]
    """From the node to what changed."""
    cost: float = 0.0
    guesses: int = 0


@dataclass(frozen=True)
class Reached:
    """A public name and the way from it to what changed."""

    api: str
    node: str
    path: list[str]
    """Node ids from the public one to the changed function."""
    cost: float
    guesses: int
    """Steps that were resolved by name alone."""
    reaches: int
    """How many of the changed functions it reaches."""
    signature: str = ""
    fan_in: int = 0
    """Definitions of the repository that lead to it directly."""
    exposure: int = 0
    """Files of tests, docs and benchmarks that name it."""


def reach(
    graph: Graph, changed: Sequence[str | Start], public: PublicNames | None = None
) -> tuple[list[Reached], PublicNames]:
    """Public names that reach the changed nodes, best first, and all public names by node (for checking answers).

    A search backwards over callers by cheapest path. A public name counts once, with its cheapest path. The `MAX_APIS`
    nearest come first, then further ones of the top package. The node of a start may be the name of a compiled type
    that no file of Python defines: it is then taken at its word.
    """
    public = public_names(graph) if public is None else public
    best: dict[str, Reached] = {}
    reached_by: dict[str, set[str]] = {}
    for item in changed:
        start = Start(item, (item,)) if isinstance(item, str) else item
        for node, path, cost, guesses in _search(graph, start, public) or _through_class(graph, start, public):
            api = public[node][0] if node in public else node
            reached_by.setdefault(api, set()).add(start.path[-1])
            if api not in best or cost < best[api].cost:
                signature = graph.nodes[node].definition.signature if node in graph.nodes else ""
                best[api] = Reached(api, node, path, cost, guesses, 0, signature)
    found = [replace(item, reaches=len(reached_by[item.api])) for item in best.values()]
    found.sort(key=lambda item: (item.cost, -item.reaches, item.guesses, item.api.count("."), item.api))
    entries = [item for item in found[MAX_APIS:] if is_entry(item.api)]
    return [
        replace(item, fan_in=len(graph.callers(item.node)) if item.node in graph.nodes else 0)
        for item in [*found[:MAX_APIS], *entries[:MAX_ENTRIES]]
    ], public


def is_entry(api: str) -> bool:
    """Whether the top package itself offers the name, which is what users import first."""
    return api.count(".") == 1


def _through_class(graph: Graph, start: Start, public: Collection[str]) -> list[tuple[str, list[str], float, int]]:
    """Public nodes that reach the class of a start, where nothing reaches the start itself: whoever has an object of a
    public class may lead to its private methods. A guess.
    """
    owner = graph.nodes[start.node].owner if start.node in graph.nodes else None
    if owner is None:
        return []
    classes = [owner, *graph.descendants(owner)]
    found: list[tuple[str, list[str], float, int]] = []
    for name in classes:
        through = Start(name, (name, *start.path), start.cost + GUESS_COST, start.guesses + 1)
        found += _search(graph, through, public)
    return sorted(found, key=lambda item: item[2])


def _search(graph: Graph, start: Start, public: Collection[str]) -> list[tuple[str, list[str], float, int]]:
    """Public nodes that reach the start, cheapest first, each with its path, cost and guesses."""
    if start.node not in graph.nodes:
        return [(start.node, list(start.path), start.cost, start.guesses)] if is_public(start.node) else []
    done: set[str] = set()
    found: list[tuple[str, list[str], float, int]] = []
    queue: list[tuple[float, int, str, list[str]]] = [(start.cost, start.guesses, start.node, list(start.path))]
    while queue and len(done) < MAX_VISITED and len(found) < MAX_FOUND:
        cost, guesses, node, path = heapq.heappop(queue)
        if node in done:
            continue
        done.add(node)
        if node in public:
            found.append((node, path, cost, guesses))
        for caller, certain in graph.callers(node):
            total = cost + (1.0 if certain else GUESS_COST)
            if caller not in done and total <= MAX_COST:
                heapq.heappush(queue, (total, guesses + (not certain), caller, [caller, *path]))
    return found
