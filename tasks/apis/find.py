"""Finds the APIs of one kept commit and writes them, with their evidence, to `apis`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import git

from configs.escaping import for_file_name
from configs.models import LLMConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Api, Commit, Contract
from tasks.apis.bindings import Bindings
from tasks.apis.contract import compare, manifest_of
from tasks.apis.exposure import by_exposure
from tasks.apis.graph import Graph
from tasks.apis.models import ApisError, FoundApis
from tasks.apis.nodes import Module
from tasks.apis.rank import rank_apis
from tasks.apis.reach import Reached, reach
from tasks.apis.source import list_files, list_modules, open_clone, summary_of
from tasks.apis.starts import find_starts, is_compiled
from tasks.apis.surface import public_names
from tasks.llm import AnswerInvalid

MAX_CHANGED = 60
"""Changed functions of one commit that are followed."""
_ONE_AT_A_TIME = threading.Lock()
"""Reading and searching are Python's own work: threads would take turns, each with a whole repository in memory."""


def find_apis(repository: RepositoryConfig, sha: str, llm: LLMConfig | None, store: Store) -> FoundApis:
    """Public names that reach what the commit changed, at the commit itself. Rows go to `apis`, best rank first, and
    one to `contracts`.

    With a model, its order comes first (source `llm`) and the rest follows by distance; an answer that stays invalid
    leaves the static order, and the reason says so. Raises ApisError if the commit was not mined or cannot be read.
    """
    rows = store.rows(Commit, repository.name, sha=sha)
    if not rows:
        raise ApisError(f"{repository.name}: commit {sha} is not in table commits; mine the repository first")
    commit = rows[0]
    if not commit.functions_changed:
        return FoundApis(sha=sha, apis=[], reason="no_function_changed: only imports, comments or other languages")
    with open_clone(store.work / "clones" / f"{for_file_name(repository.name.replace('/', '__'))}.git") as repo:
        with _ONE_AT_A_TIME:
            traced = _trace(repo, commit, store)
        if not traced.found:
            return FoundApis(sha=sha, apis=[], reason=traced.reason, contract_changed=traced.contract_changed)
        found, public = by_exposure(repo, sha, traced.found), traced.public
    # what the parent does not have cannot be timed on it
    found.sort(key=lambda item: item.api in traced.added)
    chosen: list[str] = []
    reason = ""
    if llm is not None:
        try:
            chosen, unknown = rank_apis(llm, commit, found, public, store)
            if unknown:
                reason = f"unknown names dropped: {', '.join(unknown)}"
        except AnswerInvalid as error:
            reason = f"ranked by distance, the model's answer was invalid: {error}"
    apis = _rows(commit, found, chosen, public)
    store.append(apis)
    return FoundApis(sha=sha, apis=[row.api for row in apis], reason=reason, contract_changed=traced.contract_changed)


@dataclass(frozen=True)
class _Traced:
    """What the source says about one commit."""

    found: list[Reached] = field(default_factory=list)
    public: Mapping[str, list[str]] = field(default_factory=dict)
    reason: str = ""
    """Why nothing was found."""
    contract_changed: bool | None = None
    added: frozenset[str] = frozenset()
    """Public names that the parent does not have."""


def _trace(repo: git.Repo, commit: Commit, store: Store) -> _Traced:
    """Public names that reach what the commit changed; a row in `contracts`."""
    changed = commit.functions_changed[:MAX_CHANGED]
    compiled = any(is_compiled(name.partition("::")[0]) for name in changed)
    before = _manifest_before(repo, commit, compiled)  # first, so that only one graph is in memory
    graph, bindings = read_graph(repo, commit.sha, compiled=compiled)
    names_after = public_names(graph)
    after = manifest_of(graph, names_after)
    contract = write_contract(commit, before, after, store) if before is not None else None
    starts, strange = find_starts(graph, bindings, changed, commit.patch)
    if not starts:
        return _Traced(reason=_why_strange(graph, strange), contract_changed=contract)
    found, public = reach(graph, starts, names_after)
    names = ", ".join(dict.fromkeys(start.path[-1] for start in starts[:3]))
    reason = "" if found else f"no_public_path: nothing public reaches {names}"
    added = frozenset(after).difference(before if before is not None else after)
    return _Traced(found, public, reason, contract, added)


def _manifest_before(repo: git.Repo, commit: Commit, compiled: bool) -> dict[str, str] | None:
    """Public names of the parent with their signatures; None if there is no parent to read."""
    if commit.parent_sha is None:
        return None
    try:
        return manifest_of(read_graph(repo, commit.parent_sha, compiled=compiled)[0])
    except ApisError:
        return None  # a shallow clone ends here


def write_contract(commit: Commit, before: dict[str, str], after: dict[str, str], store: Store) -> bool:
    """Write how the public names differ from those of the parent; says whether they do."""
    found = compare(before, after)
    row = Contract(
        repo=commit.repo,
        sha=commit.sha,
        added=found.added,
        removed=found.removed,
        changed=[f"{name}: {old} -> {new}" for name, old, new in found.changed],
        breaking=found.breaking,
        is_changed=bool(found.added or found.removed or found.changed),
    )
    store.append([row])
    return row.is_changed


def read_graph(repo: git.Repo, sha: str, *, compiled: bool = False) -> tuple[Graph, Bindings | None]:
    """All importable modules of the repository at a commit, with `compiled` those in other languages too.

    Raises ApisError.
    """
    blobs = list_files(repo, sha)
    modules = [Module(file.module, file.is_package, file.path, summary_of(repo, file)) for file in list_modules(blobs)]
    bindings = Bindings(repo, blobs, modules) if compiled else None
    return Graph([*modules, *(bindings.modules if bindings else [])]), bindings


def _why_strange(graph: Graph, strange: list[str]) -> str:
    foreign = [name for name in strange if is_compiled(name.partition("::")[0])]
    if foreign:
        return f"unknown_binding: the source does not say under which Python name {', '.join(foreign[:3])} is called"
    unparsed = {module.path for module in graph.modules.values() if not module.summary.parsed}
    old = sorted(unparsed.intersection(name.partition("::")[0] for name in strange))
    if old:
        return f"not_python3: {', '.join(old[:3])}"
    return f"not_importable: {', '.join(strange[:3])}"


def _rows(commit: Commit, found: list[Reached], chosen: list[str], public: Mapping[str, list[str]]) -> list[Api]:
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
            exposure=item.exposure if item else 0,
            fan_in=item.fan_in if item else 0,
        )
        for rank, (api, item, by_model) in enumerate(ordered, start=1)
    ]
