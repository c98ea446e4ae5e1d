"""Finds the APIs of one kept commit and writes them, with their evidence, to `apis`."""

from __future__ import annotations

import git

from configs.models import LLMConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Api, Commit
from tasks.apis.graph import Graph, Module
from tasks.apis.models import ApisError, FoundApis
from tasks.apis.rank import rank_apis
from tasks.apis.reach import Reached, reach
from tasks.apis.source import list_modules, open_clone, summary_of
from tasks.llm import AnswerInvalid

MAX_CHANGED = 60
"""Changed functions of one commit that are followed."""


def find_apis(repository: RepositoryConfig, sha: str, llm: LLMConfig | None, store: Store) -> FoundApis:
    """Public names that reach what the commit changed, at the commit itself. Rows go to `apis`, best rank first.

    With a model, its order comes first (source `llm`) and the rest follows by distance; an answer that stays invalid
    leaves the static order, and the reason says so. Raises ApisError if the commit was not mined or cannot be read.
    """
    rows = store.rows(Commit, repository.name, sha=sha)
    if not rows:
        raise ApisError(f"{repository.name}: commit {sha} is not in table commits; mine the repository first")
    commit = rows[0]
    if not commit.functions_changed:
        return FoundApis(sha=sha, apis=[], reason="no_function_changed: only module-level code or other languages")
    with open_clone(store.work / "clones" / f"{repository.name.replace('/', '__')}.git") as repo:
        graph = read_graph(repo, sha)
    changed, strange = changed_nodes(graph, commit.functions_changed[:MAX_CHANGED])
    if not changed:
        return FoundApis(sha=sha, apis=[], reason=_why_strange(graph, strange))
    found, public = reach(graph, changed)
    if not found:
        return FoundApis(sha=sha, apis=[], reason=f"no_public_path: nothing public reaches {', '.join(changed[:3])}")
    chosen: list[str] = []
    reason = ""
    if llm is not None:
        try:
            chosen, unknown = rank_apis(llm, commit, found, public, store)
            if unknown:
                reason = f"unknown names dropped: {', '.join(unknown)}"
        except AnswerInvalid as error:
            reason = f"ranked by distance, the model's answer was invalid: {error}"
    apis = _rows(commit, found, chosen, public, graph)
    store.append(apis)
    return FoundApis(sha=sha, apis=[row.api for row in apis], reason=reason)


def read_graph(repo: git.Repo, sha: str) -> Graph:
    """All importable modules of the repository at a commit. Raises ApisError."""
    files = list_modules(repo, sha)
    return Graph([Module(file.module, file.is_package, file.path, summary_of(repo, file)) for file in files])


def changed_nodes(graph: Graph, functions: list[str]) -> tuple[list[str], list[str]]:
    """(node ids, names that are not in the importable code) of `path::Class.function` names."""
    modules = {module.path: module.name for module in graph.modules.values()}
    nodes: list[str] = []
    strange: list[str] = []
    for function in functions:
        path, _, name = function.partition("::")
        node = f"{modules[path]}.{name}" if path in modules else ""
        (nodes if node in graph.nodes else strange).append(node if node in graph.nodes else function)
    return nodes, strange


def _why_strange(graph: Graph, strange: list[str]) -> str:
    unparsed = {module.path for module in graph.modules.values() if not module.summary.parsed}
    old = sorted(unparsed.intersection(name.partition("::")[0] for name in strange))
    if old:
        return f"not_python3: {', '.join(old[:3])}"
    return f"not_importable: {', '.join(strange[:3])}"


def _rows(
    commit: Commit, found: list[Reached], chosen: list[str], public: dict[str, list[str]], graph: Graph
) -> list[Api]:
    by_node = {item.node: item for item in found}
    ordered: list[tuple[str, Reached | None, bool]] = []
    for node in chosen:
        item = by_node.get(node)
        ordered.append((item.api if item else public[node][0], item, True))
    taken = {api for api, _, _ in ordered}
    ordered += [(item.api, item, False) for item in found if item.api not in taken]
    return [
        Api(
            repo=commit.repo,
            sha=commit.sha,
            api=api,
            rank=rank,
            evidence=item.path if item else [],
            source="llm" if by_model else "static",
            distance=len(item.path) - 1 if item else None,
            guesses=item.guesses if item else 0,
        )
        for rank, (api, item, by_model) in enumerate(ordered, start=1)
    ]
