"""How attempts of agents ended, as tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from storage.tables import Attempt

FEW = 30
"""Attempts that are listed with their reason."""


def attempts_table(rows: Sequence[Attempt]) -> list[dict[str, Any]]:
    """A row per agent and model: how many attempts, how they ended, how many were shown some of the answer."""
    return [_ended(*pair, rows) for pair, rows in _groups(rows)]


def usage_table(rows: Sequence[Attempt]) -> list[dict[str, Any]]:
    """A row per agent and model: what one attempt used on the average, by the gateway's count."""
    return [_used(*pair, rows) for pair, rows in _groups(rows)]


def unanswered_table(rows: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Attempts that ended otherwise than with a patch, with the reason; the first ones."""
    without = [row for row in rows if row.status != "submitted"]
    return [
        {
            "status": row.status, "attempt": f"{row.agent}/{row.model} on {row.instance_id} #{row.sample}",
            "reason": row.reason,
        }
        for row in sorted(without, key=lambda row: (row.agent, row.model, row.instance_id, row.sample))[:FEW]
    ]  # fmt: skip


def _groups(rows: Sequence[Attempt]) -> list[tuple[tuple[str, str], list[Attempt]]]:
    groups: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for row in rows:
        groups[row.agent, row.model].append(row)
    return sorted(groups.items())


def _ended(agent: str, model: str, rows: list[Attempt]) -> dict[str, Any]:
    statuses = Counter(row.status for row in rows)
    leaks = [max(row.prompt_leak_rate or 0.0, row.tool_leak_rate or 0.0) for row in rows]
    return {
        "agent/model": f"{agent}/{model}",
        "attempts": len(rows),
        "ended": ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())),
        "with leaks": sum(leak > 0 for leak in leaks),
    }


def _used(agent: str, model: str, rows: list[Attempt]) -> dict[str, Any]:
    return {
        "agent/model": f"{agent}/{model}",
        "asked": _mean(row.requests for row in rows),
        "tokens_in": _mean(row.tokens_in for row in rows),
        "tokens_out": _mean(row.tokens_out for row in rows),
        "USD": _mean(row.cost_usd for row in rows),
        "minutes": _mean(row.duration_s and row.duration_s / 60 for row in rows),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
