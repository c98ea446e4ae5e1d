"""Tokens of the scripted model, and how many a request costs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

BYTES_PER_TOKEN = 4


def count(text: str) -> int:
    """Tokens of a text: a token is four bytes of UTF-8, and the last one may be shorter."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


class Billed(BaseModel):
    """Tokens of one answer or of many, as providers bill them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: int = 0
    """All of the prompt, what was cached included."""
    cache_read: int = 0
    """Of `input`: read from the provider's cache."""
    cache_write: int = 0
    """Of `input`: written to the provider's cache. Only Anthropic's protocol tells it."""
    output: int = 0
    """All that was generated, reasoning included."""
    reasoning: int = 0
    """Of `output`. Anthropic's protocol does not tell it."""

    def __add__(self, other: Billed) -> Billed:
        return Billed(**{name: getattr(self, name) + getattr(other, name) for name in Billed.model_fields})
