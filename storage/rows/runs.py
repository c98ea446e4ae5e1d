"""Rows about runs."""

from __future__ import annotations

from typing import ClassVar, Literal

from storage.rows.base import Row


class Funnel(Row):
    """What one stage did with one item in one run."""

    table: ClassVar[str] = "funnel"
    key_columns: ClassVar[tuple[str, ...]] = ("run_id", "stage", "key")

    run_id: str
    stage: str
    key: str
    """Sha, test id or prediction id."""
    repo: str = ""
    outcome: Literal["kept", "dropped", "failed", "waiting"]
    """`failed` means that the stage could not decide (a fault, not a result); `waiting`: for a batch."""
    reason: str = ""
