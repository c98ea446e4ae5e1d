"""What goes to a model and what comes back: prompts, turns, answers, and the three ways to fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Prompt:
    """A rendered template of `configs/prompts`."""

    name: str
    """The template's name, without `.j2`."""
    version: int
    """From the template's first line."""
    system: str
    user: str
    sha: str
    """Content hash of name, version and both texts: the exact prompt."""


@dataclass(frozen=True)
class Turn:
    """One further message of a conversation, after the prompt's own two."""

    role: Literal["assistant", "user"]
    content: str


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A validated answer with what it took to get it."""

    value: T
    text: str
    """What the model wrote, word for word."""
    turns: tuple[Turn, ...]
    """The conversation after the prompt, ending with this answer: append a user turn to ask for a change."""
    model: str
    """The model that answered: the configured one or a fallback."""
    prompt_sha: str
    attempts: int
    """Answers that this call needed: 1, or 2 if the first had to be repaired."""
    cost_usd: float
    """Price of the answers of this call when they were bought, in US dollars; 0 where the price is unknown."""
    tokens_in: int
    tokens_out: int
    cached: bool
    """True if no request was sent: every answer came from the cache."""


class LlmError(RuntimeError):
    """No model answered: an outside fault, after its retries. `transient` says whether a later try may work."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class BudgetExceeded(RuntimeError):
    """The next request could cost more than the run's budget has left; it was not sent."""


class Waiting(RuntimeError):
    """The request is left open for a batch (`llm.batch`): neither fault nor result; its answer lets the item go on."""


class AnswerInvalid(ValueError):
    """The answer was still invalid after the repair turn: a result, to be recorded with its reason."""

    def __init__(
        self, message: str, *, model: str = "", prompt_sha: str = "", attempts: int = 1, cost_usd: float = 0.0
    ) -> None:
        super().__init__(message)
        self.model = model
        self.prompt_sha = prompt_sha
        self.attempts = attempts
        self.cost_usd = cost_usd
