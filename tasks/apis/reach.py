"""From changed functions to the public names that reach them: nearest first, with the path."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass

from tasks.apis.graph import Graph
from tasks.apis.surface import public_names

MAX_COST = 10.0
"""Of a path: 1 per certain step, 2.5 per guess."""
GUESS_COST = 2.5
MAX_VISITED = 4000
MAX_APIS = 30


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


def reach(graph: Graph, changed: list[str]) -> tuple[list[Reached], dict[str, list[str]]]:
    """Public names that reach the changed nodes, best first, and all public names by node (for checking answers).

    A search backwards over callers by cheapest path. A public name counts once, with its cheapest path.
    """
    public = public_names(graph)
    best: dict[str, Reached] = {}
    reached_by: dict[str, set[str]] = {}
    for start in changed:
        for node, path, cost, guesses in _search(graph, start, public):
            api = public[node][0]
            reached_by.setdefault(api, set()).add(start)
            if api not in best or cost < best[api].cost:
                signature = graph.nodes[node].definition.signature
                best[api] = Reached(api, node, path, cost, guesses, 0, signature)
    found = [
        Reached(item.api, item.node, item.path, item.cost, item.guesses, len(reached_by[item.api]), item.signature)
        for item in best.values()
    ]
    found.sort(key=lambda item: (item.cost, -item.reaches, item.guesses, item.api.count("."), item.api))
    return found[:MAX_APIS], public


def _search(graph: Graph, start: str, public: Collection[str]) -> list[tuple[str, list[str], float, int]]:
    """Public nodes that reach the start, cheapest first, each with its path, cost and guesses."""
    done: set[str] = set()
    found: list[tuple[str, list[str], float, int]] = []
    queue: list[tuple[float, int, str, list[str]]] = [(0.0, 0, start, [start])]
    while queue and len(done) < MAX_VISITED and len(found) < 2 * MAX_APIS:
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
