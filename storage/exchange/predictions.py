"""Predictions as SWE-bench's harness reads them: JSON Lines, one attempt per line, and what is known of it beside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from storage.exchange.writing import write_lines
from storage.store import Store
from storage.tables import Prediction

SWE_BENCH = ("instance_id", "model_name_or_path", "model_patch")
"""What SWE-bench's harness wants. It ignores further fields; `isobench evaluate` reads them back."""


def export_predictions(store: Store, path: str | Path, repo: str | None = None) -> int:
    """Write all predictions, or those of one repository's instances; returns how many. Equal rows give equal bytes.

    Raises UserError if the file cannot be written; the old file stays then.
    """
    return write_predictions(store.rows(Prediction, repo), path)


def write_predictions(rows: Iterable[Prediction], path: str | Path) -> int:
    """Write these; see `export_predictions`."""
    return write_lines(path, map(swe_bench, sorted(rows, key=_order)))


def swe_bench(row: Prediction) -> dict[str, Any]:
    """One line. What is not known of an attempt is left out."""
    line = {"instance_id": row.instance_id, "model_name_or_path": row.model, "model_patch": row.model_patch}
    beside = row.model_dump(mode="json", exclude={"prediction_id", "repo", "instance_id", "model", "model_patch"})
    return line | {name: value for name, value in beside.items() if value not in (None, "")}


def _order(row: Prediction) -> tuple[str, str, str, int, str]:
    return row.agent, row.model, row.instance_id, row.sample, row.prediction_id
