"""Which nodes of the graph a commit's changed names stand for: functions, tables, classes, compiled code."""

from __future__ import annotations

from tasks.apis.bindings import Bindings
from tasks.apis.graph import Graph
from tasks.apis.nodes import Node
from tasks.apis.reach import Start
from tasks.code.edits import edits_of
from tasks.code.native import grammar_of

MODULE = "<module>"
"""As mining names statements outside of everything."""


def is_compiled(path: str) -> bool:
    """Whether the file is in a language that Python calls through a binding (or Cython)."""
    return grammar_of(path) not in (None, "python")


def find_starts(graph: Graph, bindings: Bindings | None, names: list[str], patch: str) -> tuple[list[Start], list[str]]:
    """(starts, names that lead nowhere) of `path::Class.function`, `path::Class` and `path::<module>`.

    A class, or a module, stands also for those of its variables that the patch touches: their users are what changed.
    So does a compiled file, for its variables, tables and macros.
    """
    modules = {module.path: module.name for module in graph.modules.values()}
    lines = _added_lines(patch)
    starts: list[Start] = []
    strange: list[str] = []
    for function in names:
        path, _, name = function.partition("::")
        found: list[Start] = []
        if path in modules:
            module = modules[path]
            if name == MODULE:
                nodes = [node for node in graph.nodes.values() if node.module.name == module and node.owner is None]
                found = [Start(node, (node,)) for node in _touched(nodes, lines.get(path, []))]
            elif (node_id := f"{module}.{name}") in graph.nodes:
                found = [Start(node_id, (node_id,))]
                if graph.nodes[node_id].definition.kind == "class":
                    members = [node for node in graph.nodes.values() if node.owner == node_id]
                    found += [Start(node, (node,)) for node in _touched(members, lines.get(path, []))]
        if not found and bindings is not None and is_compiled(path):
            touched = lines.get(path, [])
            found = bindings.starts(path, name, set(touched) or None)
            if name == MODULE:
                held = bindings.variables(path)
                names_touched = [name for name, first, last in held if any(first <= line <= last for line in touched)]
                found = [start for name in dict.fromkeys(names_touched) for start in bindings.starts(path, name)]
        starts += found
        strange += [] if found else [function]
    return starts, strange


def _touched(nodes: list[Node], lines: list[int]) -> list[str]:
    """Ids of variables that the lines lie in: a statement reaches to the next definition."""
    places = [(line, node) for node in nodes for line in (node.definition.line, *node.definition.more_lines) if line]
    ordered = sorted(places, key=lambda place: place[0])
    found: dict[str, None] = {}
    for index, (first, node) in enumerate(ordered):
        end = ordered[index + 1][0] if index + 1 < len(ordered) else 1 << 60
        if node.definition.kind in ("variable", "callable") and any(first <= line < end for line in lines):
            found[node.id] = None
    return list(found)


def _added_lines(patch: str) -> dict[str, list[int]]:
    """Path -> numbers, after the change, of lines that were added or that follow removed ones."""
    found: dict[str, list[int]] = {}
    for edit in edits_of(patch):
        if edit.new_line:  # none in a file that became empty
            number = edit.new_line if edit.sign == "+" else max(1, edit.new_line - 1)
            found.setdefault(edit.new_path, []).append(number)
    return found
