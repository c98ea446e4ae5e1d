"""Which instances no longer hold: their rows stay readable, and exports, publishing and evaluation pass them over."""

from __future__ import annotations

from storage.store import Store
from storage.tables import Withdrawal


def withdrawn_ids(store: Store, repo: str | None = None) -> set[str]:
    """Ids of instances that are withdrawn now. Raises as `Store.frame` does."""
    return {row.instance_id for row in store.rows(Withdrawal, repo, withdrawn=True)}
