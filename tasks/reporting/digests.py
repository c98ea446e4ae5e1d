"""One hash of all that a report depends on: equal rows give an equal hash, in any order and by any writer."""

from __future__ import annotations

import hashlib

import polars as pl

from storage.store import Store
from storage.tables import (
    Calibration,
    Commit,
    Comparison,
    Funnel,
    Instance,
    LlmCall,
    Measurement,
    OptAtK,
    PerfTest,
    Prediction,
    Row,
    Score,
)

READ_OF_MEASUREMENTS = (
    "process", "call_ns", "wall_ns", "wait_ns", "number", "correct", "warmup", "confirming", "started_at",
)  # fmt: skip

SHOWN: tuple[tuple[type[Row], tuple[str, ...] | None], ...] = (
    (Commit, ("kept",)),
    (PerfTest, ("status", "api")),
    (Measurement, READ_OF_MEASUREMENTS),
    (Comparison, None),
    (Instance, None),
    (Prediction, ("agent", "model", "sample", "model_patch")),
    (Score, None),
    (OptAtK, None),
    (Funnel, None),
    (Calibration, None),
)
"""Tables and columns that the page shows; None is all columns. Key columns always count."""


def digest(store: Store) -> str:
    """Hash of everything that the page shows. 32 hex digits."""
    total = hashlib.sha256()
    for kind, columns in SHOWN:
        _add(total, kind, store.frame(kind, columns=columns))
    # a repeated question that the cache answered is a new row and shows nowhere
    _add(total, LlmCall, store.frame(LlmCall, columns=("cost_usd", "cached")).filter(~pl.col("cached")))
    return total.hexdigest()[:32]


def _add(total: hashlib._Hash, kind: type[Row], frame: pl.DataFrame) -> None:
    data = frame.sort(list(kind.key_columns)).write_ndjson().encode()
    total.update(f"{kind.table} {len(data)}\n".encode())
    total.update(data)
