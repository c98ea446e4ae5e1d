"""How attempts of agents ended, as tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from storage.store import Store
from storage.tables import Attempt

FEW = 30
"""Attempts that are listed with their reason."""


def attempts_table(store: Store, run_id: str | None = None) -> list[dict[str, Any]]:
    """A row per agent and model: how many attempts, how they ended, and what one used on the average."""
    groups: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for row in _rows(store, run_id):
        groups[row.agent, row.model].append(row)
    return [_row(agent, model, rows) for (agent, model), rows in sorted(groups.items())]


def unanswered_table(store: Store, run_id: str | None = None) -> list[dict[str, Any]]:
    """Attempts that ended otherwise than with a patch, with the reason; the first ones."""
    rows = [row for row in _rows(store, run_id) if row.status != "submitted"]
    return [
        {
            "agent": row.agent, "model": row.model, "instance": row.instance_id, "sample": row.sample,
            "status": row.status, "reason": row.reason,
        }
        for row in sorted(rows, key=lambda row: (row.agent, row.model, row.instance_id, row.sample))[:FEW]
    ]  # fmt: skip


def _rows(store: Store, run_id: str | None) -> list[Attempt]:
    return store.rows(Attempt) if run_id is None else store.rows(Attempt, run_id=run_id)


def _row(agent: str, model: str, rows: list[Attempt]) -> dict[str, Any]:
    statuses = Counter(row.status for row in rows)
    leaks = [max(row.prompt_leak_rate or 0.0, row.tool_leak_rate or 0.0) for row in rows]
    return {
        "agent": agent,
        "model": model,
        "attempts": len(rows),
        "ended": ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())),
        "requests": _mean(row.requests for row in rows),
        "tokens in": _mean(row.tokens_in for row in rows),
        "from cache": _mean(row.tokens_cache_read for row in rows),
        "tokens out": _mean(row.tokens_out for row in rows),
        "USD": _mean(row.cost_usd for row in rows),
        "minutes": _mean(row.duration_s and row.duration_s / 60 for row in rows),
        "leaks": f"{sum(leak > 0 for leak in leaks)} of {len(rows)}",
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
