"""One pass over a history: every change considered becomes a row, kept or dropped, written as the stream goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import git
import polars as pl

from configs.models import MiningConfig, RepositoryConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Commit
from tasks.code.clones import clone_path
from tasks.mining.filters.reverts import CLASSIFIED, mark
from tasks.mining.filters.rules import Rules
from tasks.mining.git.history import Inner, first_parent_chain, inner_commits, named_steps
from tasks.mining.git.missing_objects import fetch_missing, promisor
from tasks.mining.git.process import open_repository
from tasks.mining.message import Keywords
from tasks.mining.models import Mined
from tasks.mining.workers.filtering import SHALLOW, shallow_boundary
from tasks.mining.workers.pool import filter_all
from tasks.mining.workers.process import Setup
from tasks.progress import tell

MISSING = "missing_object"
PART_ROWS = 1000
PART_BYTES = 4 << 20
"""A part is written when it holds this many rows or this much patch text."""


def filter_version(repository: RepositoryConfig, mining: MiningConfig, code: str = "") -> str:
    """Hash of the settings and the code that judge a change. `code` is the version of this package's source."""
    settings = mining.model_dump(
        mode="json", exclude={"pull_requests", "max_candidates", "max_commits", "since", "until", "commits"}
    )
    return content_hash(settings, sorted(repository.languages), code, *(["named"] if mining.commits else []))


def mine_repository(
    repository: RepositoryConfig,
    mining: MiningConfig,
    head_sha: str,
    store: Store,
    code: str = "",
    *,
    processes: int | None = None,
) -> Mined:
    """Filter every step of the first-parent history up to `head_sha`, or each of `mining.commits`; rows in `commits`.

    Changes that the same filters (settings and `code`, the version of the judging code) judged before are not read
    again, so a run that was killed goes on where it stopped. Long histories are spread over `processes`, by default
    one per core; the rows do not depend on how many. Raises MiningError.
    """
    version = filter_version(repository, mining, code)
    clone = store.work / clone_path(repository.name)
    with open_repository(clone) as repo:
        steps, unknown = _steps(repo, mining, head_sha)
        known = _known(store, repository.name, version, shallow_boundary(repo), promisor(repo) is not None)
        todo = {sha: parents for sha, parents in steps.items() if sha not in known}
        chain = list(steps)
        kept = {sha: known[sha] for sha in chain if known.get(sha) is not None}
        if todo:
            setup = Setup(clone, repository.name, Rules.of(mining, repository.languages), version)
            inner_of = partial(_prepare, repo, head_sha, todo, Keywords(mining.keywords, mining.ignore_phrases).find)
            kept |= _read(filter_all(setup, list(todo)[::-1], inner_of, processes=processes), len(todo), store)
    if todo and not mining.commits:
        for sha in mark(store, repository.name, chain, version):
            kept.pop(sha, None)
    ranked = sorted(kept, key=lambda sha: (-(kept[sha] or 0.0), sha))
    return Mined(considered=len(chain), kept=ranked, unknown=unknown, new=len(todo))


def _steps(repo: git.Repo, mining: MiningConfig, head_sha: str) -> tuple[dict[str, list[str]], list[str]]:
    """What is looked at, oldest first, with its parents; and the shas of the configuration that name no commit."""
    if mining.commits:
        return named_steps(repo, mining.commits)
    chain = first_parent_chain(repo, head_sha, since=mining.since, until=mining.until, newest=mining.max_commits)
    return chain, []


def _known(store: Store, repo: str, version: str, boundary: set[str], partial: bool) -> dict[str, float | None]:
    """Changes that these filters judged before: sha -> score if kept, else None.

    Not those that may be judged now: where the clone was deepened, or where a remote can give what was missing.
    """
    missing = pl.col("reason").str.starts_with(MISSING) if partial else pl.lit(False)
    candidate = pl.col("kept") | pl.col("reason").str.starts_with(CLASSIFIED)
    rows = (
        store.frame(Commit, repo, columns=("filter_version", "kept", "reason", "score"))
        .filter(pl.col("filter_version") == version)
        .filter(((pl.col("reason") != SHALLOW) | pl.col("sha").is_in(sorted(boundary))) & ~missing)
        .select("sha", pl.when(candidate).then(pl.col("score")))
    )
    return dict(rows.iter_rows())


def _prepare(
    repo: git.Repo, head: str, todo: dict[str, list[str]], look: Callable[[str], str | None]
) -> dict[str, Inner]:
    """Has the objects there that a partial clone lacks, and lists what the merges that are to do brought in."""
    after = next(iter(next(iter(todo.values()))), None)
    fetch_missing(repo, head, after)
    if not any(len(parents) > 1 for parents in todo.values()):
        return {}
    return inner_commits(repo, head, after, look)


def _read(found: Iterator[list[Commit]], total: int, store: Store) -> dict[str, float | None]:
    """Writes what was judged: kept sha -> score."""
    kept: dict[str, float | None] = {}
    done = 0
    part: list[Commit] = []
    size = 0
    for batch in found:
        kept |= {row.sha: row.score for row in batch if row.kept}
        done += len(batch)
        tell(done, total)
        part += batch
        size += sum(len(row.patch) + len(row.test_patch) for row in batch)
        if len(part) >= PART_ROWS or size >= PART_BYTES:
            store.append(part)
            part, size = [], 0
    store.append(part)
    return kept


__all__ = ["CLASSIFIED", "filter_version", "mine_repository"]
