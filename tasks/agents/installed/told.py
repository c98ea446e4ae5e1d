"""What an agent says about its own attempt. It is kept beside what was measured, never instead."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Told(BaseModel):
    """By the agent's own events and record; None where it says nothing."""

    model_config = ConfigDict(frozen=True)

    steps: int | None = None
    """Answers of its model."""
    tokens_in: int | None = None
    """All tokens of prompts, cached included."""
    cache_read: int | None = None
    cache_write: int | None = None
    tokens_out: int | None = None
    """All tokens that were made, reasoning included."""
    reasoning: int | None = None
    cost_usd: float | None = None
    denied: tuple[str, ...] = ()
    """Tools that it was not allowed to use, once for each time."""
    stopped: str | None = None
    """Its own reason for stopping, in its own words. Examples: `completed`, `error_max_turns`, `LimitsExceeded`."""
    failed: str | None = None
    """The error that it says it ended with."""
    session: str | None = None
    """What it calls this attempt."""
    version: str | None = None
    trajectory: dict[str, Any] | None = None
    """What it did, as ATIF (Agent Trajectory Interchange Format of Harbor)."""
    original: str | None = None
    """The record that it was read from, below the out folder; None: from what it printed."""
    unread: int = 0
    """Lines of its output or record that could not be read."""

    @property
    def totals(self) -> dict[str, int | float | None]:
        """`final_metrics` of ATIF."""
        return {
            "total_prompt_tokens": self.tokens_in,
            "total_completion_tokens": self.tokens_out,
            "total_cached_tokens": self.cache_read,
            "total_cost_usd": self.cost_usd,
        }
