"""What a provider says about tokens, read from its answer while it passes by.

Where the counts stand: Anthropic's Messages API (`message_start`, then `message_delta`, whose counts are sums so far),
OpenAI's chat completions (the last chunk, with `stream_options.include_usage`) and responses (`response.completed`),
Gemini's `usageMetadata` (in every chunk, sums so far).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tasks.agents.gateway.models import Usage
from tasks.agents.gateway.protocols import Shape

Record = dict[str, Any]
MAX_TOKENS = 1 << 40
"""A server that counts more is not believed."""


def number(record: Record, *names: str) -> int:
    """The first of these counts that is there; 0 if none is."""
    for name in names:
        value = record.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
            return value
    return 0


def part(record: Record, name: str) -> Record:
    """A member that is an object; an empty one where it is none."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def parts(record: Record, name: str) -> list[Record]:
    """The objects of a member that is a list."""
    value = record.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _anthropic(said: Record) -> Usage:
    read, write = number(said, "cache_read_input_tokens"), number(said, "cache_creation_input_tokens")
    return Usage(
        requests=1,
        tokens_in=number(said, "input_tokens") + read + write,
        cache_read=read,
        cache_write=write,
        cache_write_1h=min(write, number(part(said, "cache_creation"), "ephemeral_1h_input_tokens")),
        tokens_out=number(said, "output_tokens"),
        reasoning=number(part(said, "output_tokens_details"), "thinking_tokens", "reasoning_tokens"),
    )


def _openai(said: Record) -> Usage:
    inside = part(said, "prompt_tokens_details") or part(said, "input_tokens_details")
    made = part(said, "completion_tokens_details") or part(said, "output_tokens_details")
    tokens_in = number(said, "prompt_tokens", "input_tokens")
    read = min(tokens_in, number(inside, "cached_tokens"))
    out = number(said, "completion_tokens", "output_tokens")
    return Usage(
        requests=1,
        tokens_in=tokens_in,
        cache_read=read,
        cache_write=min(tokens_in - read, number(inside, "cache_write_tokens", "cache_creation_tokens")),
        tokens_out=out,
        reasoning=min(out, number(made, "reasoning_tokens")),
    )


def _gemini(said: Record) -> Usage:
    tokens_in = number(said, "promptTokenCount") + number(said, "toolUsePromptTokenCount")
    thoughts = number(said, "thoughtsTokenCount")
    return Usage(
        requests=1,
        tokens_in=tokens_in,
        cache_read=min(tokens_in, number(said, "cachedContentTokenCount")),
        tokens_out=number(said, "candidatesTokenCount") + thoughts,
        reasoning=thoughts,
    )


_READERS: dict[Shape, Callable[[Record], Usage]] = {
    "messages": _anthropic,
    "chat": _openai,
    "responses": _openai,
    "gemini": _gemini,
}


class Count:
    """What was said so far about one request."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.whole = False
        """Whether the answer said that it is at its end."""
        self.failed = ""
        """What the provider said went wrong, in the middle of its answer."""
        self.made = 0
        """Bytes of text that were made so far, for an estimate where counts do not come."""
        self._said: Record = {}

    @property
    def said(self) -> Usage | None:
        """By the provider's own count; None if it said nothing."""
        return _READERS[self.shape](self._said) if self._said else None

    def event(self, record: Record) -> None:
        """Note one event of a stream, or a chunk of one."""
        _EVENTS[self.shape](self, record)

    def answer(self, record: Record) -> None:
        """Note a whole answer."""
        self.whole = True
        self._note(part(record, "usageMetadata" if self.shape == "gemini" else "usage"))

    def _note(self, said: Record) -> None:
        # of sums so far the last one counts; what an event leaves out was said before
        self._said = {**self._said, **{name: value for name, value in said.items() if value is not None}}

    def _messages(self, record: Record) -> None:
        kind = record.get("type")
        if kind == "message_start":
            self._note(part(part(record, "message"), "usage"))
        elif kind == "message_delta":
            self._note(part(record, "usage"))
            self.whole = self.whole or part(record, "delta").get("stop_reason") is not None
        elif kind == "content_block_delta":
            delta = part(record, "delta")
            self._made(delta.get("text"), delta.get("thinking"), delta.get("partial_json"))
        elif kind == "error":
            self.failed = str(part(record, "error").get("type") or "error")

    def _chat(self, record: Record) -> None:
        self._note(part(record, "usage"))
        for choice in parts(record, "choices"):
            delta = part(choice, "delta")
            calls = [part(call, "function").get("arguments") for call in parts(delta, "tool_calls")]
            self._made(delta.get("content"), delta.get("reasoning_content"), delta.get("reasoning"), *calls)
            self.whole = self.whole or choice.get("finish_reason") is not None
        if record.get("error"):
            self.failed = str(part(record, "error").get("code") or part(record, "error").get("type") or "error")

    def _responses(self, record: Record) -> None:
        kind = str(record.get("type") or "")
        if kind.endswith(".delta"):
            self._made(record.get("delta"))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.whole = True
            self._note(part(part(record, "response"), "usage"))
        if kind in ("response.failed", "error"):
            self.failed = str(part(part(record, "response"), "error").get("code") or record.get("code") or "error")

    def _gemini(self, record: Record) -> None:
        self.whole = self.whole or any(found.get("finishReason") for found in parts(record, "candidates"))
        self._note(part(record, "usageMetadata"))
        for candidate in parts(record, "candidates"):
            for piece in parts(part(candidate, "content"), "parts"):
                self._made(piece.get("text"), piece.get("functionCall") and str(piece["functionCall"]))
        if record.get("error"):
            self.failed = str(part(record, "error").get("status") or "error")

    def _made(self, *texts: Any) -> None:
        self.made += sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))


_EVENTS: dict[Shape, Callable[[Count, Record], None]] = {
    "messages": Count._messages,
    "chat": Count._chat,
    "responses": Count._responses,
    "gemini": Count._gemini,
}
