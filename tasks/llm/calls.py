"""Rows of table `llm_calls` on their way to the store.

What was paid for, failed or waits is written at once. An answer from the cache cost nothing, so its row waits for
others: a Parquet part of its own takes longer than the answer. Rows that wait are written with the next one that does
not, when there are `TOGETHER` of them, by `flush`, and when the process ends; a killed process loses none that cost
anything.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence

from storage.store import Store, StoreError
from storage.tables import LlmCall

TOGETHER = 100
"""Rows of cached answers in one part."""

_lock = threading.Lock()
_waiting: dict[str, tuple[Store, list[LlmCall]]] = {}


def record(store: Store, calls: Sequence[LlmCall]) -> None:
    """Keep rows, at once or later. Raises StoreError where they are written."""
    with _lock:
        _, waiting = _waiting.setdefault(store.root, (store, []))
        waiting.extend(calls)
        if all(call.cached for call in calls) and len(waiting) < TOGETHER:
            return
        _waiting.pop(store.root)
    store.append(waiting)


def flush(store: Store) -> None:
    """Write the rows of this process that still wait. Raises StoreError."""
    with _lock:
        _, waiting = _waiting.pop(store.root, (store, []))
    store.append(waiting)


@atexit.register
def _flush_all() -> None:
    for store, _ in list(_waiting.values()):
        # a store that was deleted meanwhile needs no rows, and nobody reads an error from here
        try:
            if store.exists():
                flush(store)
        except StoreError:
            continue
