"""Opt@K as a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.tables import OptAtK


def opt_rows(rows: Sequence[OptAtK]) -> list[dict[str, str | int | None]]:
    """Opt@K as a terminal shows it; what is not known has no figure but the reason.

    A column that says nothing in any row is left out.
    """
    found = [
        {
            "model": row.model,
            "K": row.k,
            "Opt@K": _share(row.opt),
            "interval": None if row.ci_low is None else f"{row.ci_low:.0%} to {row.ci_high:.0%}",
            "if inconclusive were yes": _share(row.opt_if_inconclusive_yes),
            "without the weakly checked": _share(row.opt_checked),
            "instances": row.n_instances,
            "samples": row.n_samples,
            "left out": row.n_left_out,
            "unattempted": row.n_unattempted,
            "missing": row.n_missing,
            "not timed": row.n_not_timed,
            "why not": row.reason or None,
        }
        for row in sorted(rows, key=lambda row: (row.model, row.k))
    ]
    rare = ("left out", "unattempted", "missing", "not timed", "why not")
    idle = [name for name in rare if not any(row[name] for row in found)]
    if "left out" in idle:
        idle.append("instances")  # of which the line above the table speaks
    if all(row.n_checked == row.n_instances for row in rows):
        idle.append("without the weakly checked")
    return [{name: value for name, value in row.items() if name not in idle} for row in found]


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"
