"""A request and an answer, without the words of any protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.agents.scripted.script import Call
from tasks.agents.scripted.tokens import Billed


@dataclass(frozen=True)
class Tool:
    """A tool that the agent offers."""

    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    """JSON schemas of its arguments, by their names."""
    required: tuple[str, ...] = ()
    free: bool = False
    """It takes a text and no arguments."""


@dataclass(frozen=True)
class Request:
    """What an agent asks."""

    model: str
    prompt: str
    """All that the user has said before the model's first answer."""
    answers: int
    """How often the model has answered in this conversation."""
    tools: tuple[Tool, ...]
    stream: bool
    text: str
    """All of the request, for counting and searching."""
    tells_usage: bool = True
    """Whether a stream is to say what it cost."""
    limit: int | None = None
    """Most tokens that the answer may have."""


@dataclass(frozen=True)
class Answer:
    """What the model says to it."""

    ident: str
    model: str
    text: str
    call: Call | None
    free: bool
    """The call takes a text: its argument `input`."""
    billed: Billed
    shortened: bool = False
    """It ended at the request's limit."""


PIECE = 40
"""Characters of one piece of a stream."""


def pieces(text: str) -> list[str]:
    """A text in the pieces of a stream."""
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def texts(content: Any) -> str:
    """The text of a message's content: a string, or blocks of which some are text."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(str(block["text"]) for block in blocks if isinstance(block, dict) and "text" in block)


def tool_of(name: str, schema: Any, free: bool = False) -> Tool:
    """A tool from its name and the JSON schema of its arguments."""
    schema = schema if isinstance(schema, dict) else {}
    properties = schema.get("properties")
    return Tool(
        name, properties if isinstance(properties, dict) else {}, tuple(map(str, schema.get("required") or ())), free
    )
