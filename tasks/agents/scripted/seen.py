"""What the scripted model keeps of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.agents.scripted.tokens import Billed


@dataclass(frozen=True)
class Seen:
    """A request, and what became of it."""

    protocol: str
    """`anthropic`, `openai-chat`, `openai-responses`, `gemini`; empty for a path that none has."""
    path: str
    headers: dict[str, str]
    """Names in small letters."""
    body: dict[str, Any]
    model: str
    turn: int | None
    """Number of the turn that answered, from 0; None for a request beside the conversation or without an answer."""
    status: int
    """HTTP status; 0 if nothing was sent."""
    ended: str
    """`whole`, `cut`, `hung`, `nonsense`, `error`, or `left` if the agent went away meanwhile."""
    billed: Billed | None
    """What a provider would bill: nothing for errors; all of a cut answer's prompt and what was generated of it."""
    told: Billed | None
    """What the usage fields said that were sent, as far as the protocol has a field."""
