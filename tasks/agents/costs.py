"""What attempts have cost so far, by rows and by what the gateway wrote down of attempts that have no answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from configs.escaping import for_file_name
from storage.store import Store
from storage.tables import NO_ANSWER, Attempt
from tasks.agents.gateway.recording import Exchange, exchanges, folder_of
from tasks.sandbox import foreign

MOST_BYTES = 256 * foreign.MEBIBYTE
"""Of one file that is read."""


def spent(store: Store, rows: Iterable[Attempt], attempt_ids: Collection[str]) -> float:
    """US dollars that attempts have cost, their times without an answer included. `rows`: those that the store has."""
    answered = {row.attempt_id: row for row in rows if row.status not in NO_ANSWER}
    folder = folder_of(store)
    return sum((row.cost_usd or 0.0) + row.cost_before_usd for row in answered.values()) + sum(
        cost_without_answer(folder, each) for each in attempt_ids if each not in answered
    )


def begun(store: Store, attempt_ids: Iterable[str]) -> bool:
    """Whether any of these attempts has asked a model, also if its run was killed before there was a row."""
    return any(foreign.is_file(folder_of(store), f"attempts/{for_file_name(each)}.jsonl") for each in attempt_ids)


def cost_without_answer(folder: Path, attempt: str) -> float:
    """US dollars that all times of an attempt cost that has no answer yet."""
    return cost_before(folder, attempt) + sum(one.usage.cost_usd for one in exchanges(folder, attempt))


def cost_before(folder: Path, attempt: str) -> float:
    """US dollars that earlier times of an attempt cost, once it is under way again, by what the gateway wrote down."""
    place, cost = f"attempts/{for_file_name(attempt)}.jsonl.before", 0.0
    for name in foreign.names(folder, place):
        for line in (foreign.text(folder, f"{place}/{name}", MOST_BYTES) or "").splitlines():
            with suppress(ValidationError):
                cost += Exchange.model_validate_json(line).usage.cost_usd
    return cost
