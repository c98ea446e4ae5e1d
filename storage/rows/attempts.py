"""Rows about agents at work: what one attempt did, used and left behind, whether or not it has a patch."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from storage.rows.base import Row

AttemptStatus = Literal[
    "submitted", "empty_patch", "timeout", "budget", "model_unreachable", "refused", "crashed", "setup_failed"
]
NO_ANSWER: tuple[AttemptStatus, ...] = ("model_unreachable", "setup_failed")
"""Of attempts that ended through no fault of agent or model: without a prediction, and missing in Opt@K."""


class Attempt(Row):
    """One run of an agent with a model at an instance. Counts are the gateway's; the agent's own stand beside them.

    Attempts without an answer are rows, too. One that has an answer, also an empty patch, has a row in `predictions`.
    """

    table: ClassVar[str] = "attempts"
    key_columns: ClassVar[tuple[str, ...]] = ("attempt_id",)

    attempt_id: str
    """Content hash of instance, agent, model, sample, and the settings that decide what the agent gets."""
    run_id: str
    """Of the run that made it; later runs that find it do not repeat it."""
    instance_id: str
    """The instance that was tried."""
    repo: str = ""
    """`owner/name`."""
    agent: str
    """Name of the agent."""
    agent_version: str = ""
    """As the agent says, else the version that was installed."""
    model: str
    """Name of the model, as the configuration has it."""
    sample: int
    """Which of the pair's attempts at the instance, from 0."""
    status: AttemptStatus
    """From the diff, the gateway and our clock, never from the agent's exit code alone."""
    reason: str = ""
    """What led to the status, in words."""
    prediction_id: str | None = None
    """None for an attempt that ended without an answer: `model_unreachable`, `setup_failed`."""
    started_at: datetime | None = None
    """When the agent started; None if it never did."""
    duration_s: float | None = None
    """From the agent's start to its end, on our clock."""
    exit_code: int | None = None
    """A hint only: agents exit with 0 after failures."""
    requests: int = 0
    """Requests to models that a provider answered or began to answer."""
    tokens_in: int = 0
    """All tokens of prompts, those from a cache included."""
    tokens_cache_read: int = 0
    """Of `tokens_in`, those that the provider had in its cache."""
    tokens_cache_write: int = 0
    """Of `tokens_in`, those that the provider put into its cache."""
    tokens_out: int = 0
    """Tokens of answers, those of reasoning included."""
    tokens_reasoning: int = 0
    """Of `tokens_out`, those of reasoning."""
    estimated_requests: int = 0
    """Requests whose counts are, in part, an estimate: the provider did not come to say them."""
    cost_usd: float | None = None
    """By the prices of the configuration or of litellm's table. None: no price is known."""
    cost_before_usd: float = 0.0
    """Of earlier times of this attempt that left no answer: their run was killed, or the model could not be reached."""
    faults: list[str] = Field(default_factory=list)
    """What the model's provider did wrong on the way (429, 529, 5xx, cut and hanging answers), with counts."""
    notes: list[str] = Field(default_factory=list)
    """What was left out of the patch, and what else a reader should know."""
    steps: int | None = None
    """Of the agent's trajectory."""
    denied: int | None = None
    """Tool calls that the agent itself did not allow."""
    told_reason: str = ""
    """Why it stopped, as the agent says."""
    told_cost_usd: float | None = None
    """What it cost, as the agent says."""
    told_tokens_in: int | None = None
    """Tokens of prompts, as the agent says."""
    told_tokens_out: int | None = None
    """Tokens of answers, as the agent says."""
    prompt_sha: str = ""
    """Hash of the prompt."""
    prompt_leak_rate: float | None = None
    """Share of the human's added lines in the first prompt, from 0 to 1. None: nothing could be compared."""
    tool_leak_rate: float | None = None
    """The same of all tool results that the model was shown."""
    trajectory: str | None = None
    """ATIF, as a path relative to the store."""
    trajectory_sha: str | None = None
    """SHA-256 of that file."""
    original: str | None = None
    """The agent's own record, beside it."""
    log: str | None = None
    """What the agent printed, as a path relative to the store."""
    unanswered_patch: str | None = None
    """What had been changed when an attempt ended without an answer, as a path relative to the store: it counts for
    nothing, and the attempt is made again. The patch of every other attempt is in `predictions`."""
    exchanges: str | None = None
    """Requests and answers as the gateway kept them, as a path relative to the store's work folder."""
