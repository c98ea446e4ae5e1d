"""One attempt, as it is asked for and as it came out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict

from storage.tables import Instance
from tasks.agents.base_tree import BaseTree
from tasks.agents.gateway.models import Fault, LeakSeen, Usage
from tasks.agents.installed.told import Told
from tasks.agents.outcomes import AttemptStatus
from tasks.sandbox.models import Arm


class ModelGateway(Protocol):
    """What an attempt needs of its gateway; `tasks.agents.gateway.server.Gateway` is one. One per attempt."""

    @property
    def socket(self) -> Path:
        """A unix socket in a folder of its own, which is mounted."""

    @property
    def usage(self) -> Usage:
        """So far."""

    @property
    def ended(self) -> str | None:
        """Why it lets nothing more through; None while it does."""

    @property
    def faults(self) -> list[Fault]:
        """What went wrong with providers."""

    @property
    def last_ok(self) -> datetime | None:
        """When a provider last answered as it should."""

    @property
    def refused(self) -> list[str]:
        """What was asked for in vain: hosts, models."""

    @property
    def leak(self) -> LeakSeen | None:
        """How much of the human's change the agent was shown; None if it was not measured."""

    def __enter__(self) -> Self:
        """Listen."""

    def __exit__(self, *exception: object) -> None:
        """Let nothing more through."""


@dataclass(frozen=True)
class AttemptTask:
    """What an attempt is at."""

    instance: Instance
    arm: Arm
    """Base's checkout in the environment of its day."""
    base: BaseTree


class Attempt(BaseModel):
    """How an attempt came out. Paths are relative to the folder where it was to be kept."""

    model_config = ConfigDict(frozen=True)

    status: AttemptStatus
    reason: str
    patch: str = ""
    """What was in the workspace at the end, whatever the status."""
    files: int = 0
    """Changed, added or removed by the patch."""
    notes: list[str] = []
    """What was left out of the patch, and what was not shown."""
    started_at: datetime
    seconds: float = 0.0
    """From the agent's start to its end, on our clock."""
    exit_code: int | None = None
    """A hint only."""
    usage: Usage = Usage()
    faults: list[Fault] = []
    leak: LeakSeen | None = None
    prompt_sha: str = ""
    told: Told = Told()
    """What the agent says itself; its trajectory is in the file."""
    trajectory: str | None = None
    """ATIF, as JSON, where the agent's own record could be read as such."""
    original: str | None = None
    """The agent's own record."""
    log: str | None = None
    """What it printed."""
    errors: str | None = None
    """What it printed last on stderr."""
