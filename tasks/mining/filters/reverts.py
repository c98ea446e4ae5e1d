"""Finds, over the whole history, changes that were reverted and changes that landed twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import polars as pl

from storage.store import Store
from storage.tables import Commit
from tasks.mining.message import reverted_sha

CLASSIFIED = "not_performance"
"""Reason of a change that mining kept and a model then dropped (`tasks.mining.classify`)."""
_COLUMNS = ("subject", "message", "pr_number", "inner_shas", "patch_id", "kept", "reason", "filter_version")
_TITLE = re.compile(r'^(?:\w+: )?revert(?:s|ed|ing)?:?\s+["\'“](.+)["\'”]\s*(?:\(#\d+\))?\s*$', re.IGNORECASE)
_PULL = re.compile(r"\brevert(?:s|ed|ing)?\s+(?:pull request\s+|PR\s+|[\w.-]+/[\w.-]+)?#(\d+)\b", re.IGNORECASE)

Record = dict[str, Any]


def mark(store: Store, repo: str, chain: list[str], version: str) -> set[str]:
    """Drop candidates of this filter version that a later change reverted or that landed before; returns their shas.

    The walk follows the first-parent chain, oldest first. A revert names its change by sha, by pull request or by
    title, or is its exact opposite; a change that lands again after its revert is a candidate again. Of several changes
    with the same patch the first stays, the others become `duplicate: <sha>`. Each gets a newer row with its reason,
    and so does the revert.
    """
    position = {sha: index for index, sha in enumerate(chain)}
    candidate = pl.col("kept") | pl.col("reason").str.starts_with(CLASSIFIED)
    frame = store.frame(Commit, repo, columns=_COLUMNS).filter(
        (pl.col("filter_version") == version) & (candidate | (pl.col("reason") == "revert"))
    )
    records = [record for record in frame.iter_rows(named=True) if record["sha"] in position]
    reasons: dict[str, str] = {}
    dropped: set[str] = set()
    kept: dict[str, Record] = {}
    by_patch: dict[str, str] = {}
    for record in sorted(records, key=lambda record: position[record["sha"]]):
        sha, patch_id = record["sha"], record["patch_id"]
        if record["reason"] == "revert":
            undone = _undone(record, kept, by_patch)
            if undone:
                del kept[undone]
                dropped.add(undone)
                reasons[undone] = f"reverted: by {sha[:12]}"
                reasons[sha] = f"revert: of {undone[:12]}"
        elif patch_id and by_patch.get(patch_id) in kept:
            dropped.add(sha)
            reasons[sha] = f"duplicate: {by_patch[patch_id]}"
        else:
            kept[sha] = record
            by_patch[patch_id] = sha
    if reasons:
        rows = store.rows(Commit, repo, sha=sorted(reasons))
        store.append(row.model_copy(update={"kept": False, "reason": reasons[row.sha]}) for row in rows)
    return dropped


def _undone(revert: Record, kept: dict[str, Record], by_patch: dict[str, str]) -> str | None:
    """The candidate that a revert takes back, if it is one."""
    opposite = by_patch.get(revert["patch_id"]) if revert["patch_id"] else None
    if opposite in kept:
        return opposite
    message: str = revert["message"]
    named = reverted_sha(message)
    if named:
        # the only commit of a pull request stands for its merge; one of several does not
        return named if named in kept else _newest(kept, lambda one: one["inner_shas"] == [named])
    pull = _PULL.search(message)
    if pull:
        return _newest(kept, lambda one: one["pr_number"] == int(pull[1]))
    title = next((match[1] for match in map(_TITLE.match, message.splitlines()) if match), None)
    return _newest(kept, lambda one: one["subject"] == title) if title else None


def _newest(kept: dict[str, Record], fits: Callable[[Record], bool]) -> str | None:
    return next((sha for sha, one in reversed(kept.items()) if fits(one)), None)
