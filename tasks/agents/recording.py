"""The rows that an attempt leaves."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from storage.ids import prediction_id
from storage.store import Store
from storage.tables import NO_ANSWER, Attempt, AttemptStatus, Prediction


class Attempted(BaseModel):
    """How an attempt ended, in short."""

    model_config = ConfigDict(frozen=True)

    attempt_id: str
    status: AttemptStatus
    reason: str = ""
    prediction_id: str | None = None
    cost_usd: float | None = None


def record(row: Attempt, patch: str, store: Store) -> Attempted:
    """Append an attempt and, if it has an answer, its prediction: that one first, so that none is ever missing."""
    if row.status not in NO_ANSWER:
        made = prediction_of(row, patch)
        row = row.model_copy(update={"prediction_id": made.prediction_id})
        store.append([made])
    store.append([row])
    return attempted(row)


def attempted(row: Attempt) -> Attempted:
    """A row in short."""
    return Attempted(
        attempt_id=row.attempt_id, status=row.status, reason=row.reason, prediction_id=row.prediction_id,
        cost_usd=row.cost_usd,
    )  # fmt: skip


def prediction_of(row: Attempt, patch: str, told: bool = False) -> Prediction:
    """An attempt's prediction. `told`: with what the agent says of tokens and cost, where nobody else counted."""
    used = {
        "cost_usd": row.told_cost_usd if told else row.cost_usd,
        "tokens_in": row.told_tokens_in if told else row.tokens_in,
        "tokens_out": row.told_tokens_out if told else row.tokens_out,
        "tokens_cache_read": row.tokens_cache_read if not told or row.tokens_cache_read else None,
        "tokens_cache_write": None if told else row.tokens_cache_write,
        "tokens_reasoning": None if told else row.tokens_reasoning,
        "requests": None if told else row.requests,
    }
    same = (
        "instance_id", "repo", "model", "agent", "sample", "steps", "duration_s", "status", "reason", "agent_version",
        "attempt_id", "trajectory", "trajectory_sha", "prompt_leak_rate", "tool_leak_rate",
    )  # fmt: skip
    return Prediction.model_validate(
        {
            **{name: getattr(row, name) for name in same},
            **used,
            "prediction_id": prediction_id(row.instance_id, row.model, row.agent, row.sample, patch),
            "model_patch": patch,
        }
    )
