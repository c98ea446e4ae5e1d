"""The protocols that the scripted model speaks, one file each: reading a request, and writing an answer to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.agents.scripted.conversation import Answer, Request
from tasks.agents.scripted.protocols.anthropic import Anthropic
from tasks.agents.scripted.protocols.chat import Chat
from tasks.agents.scripted.protocols.gemini import Gemini
from tasks.agents.scripted.protocols.responses import Responses
from tasks.agents.scripted.tokens import Billed


class Spoken(Protocol):
    """What a protocol's file has."""

    name: str

    def request(self, body: dict[str, Any], path: str) -> Request:
        """What is asked. Raises KeyError, TypeError, ValueError, AttributeError for what is no request."""

    def whole(self, answer: Answer) -> dict[str, Any]:
        """An answer in one piece."""

    def stream(self, answer: Answer, request: Request) -> Iterator[bytes]:
        """An answer in pieces, as server-sent events."""

    def error(self, status: int, message: str) -> dict[str, Any]:
        """What the provider says with an error."""

    def told(self, billed: Billed, begun: bool, whole: bool) -> Billed | None:
        """What the usage fields say of a bill, once an answer has begun, or is through."""

    def counted(self, tokens: int) -> dict[str, Any]:
        """The answer to a request that asks for the size of a prompt."""


@dataclass(frozen=True)
class Route:
    """What a path asks for."""

    spoken: Spoken
    counts: bool = False
    """Only how many tokens a request has."""


_ROUTES = (
    (re.compile(r"(?:/v1)?/messages/count_tokens"), Route(Anthropic(), counts=True)),
    (re.compile(r"(?:/v1)?/messages"), Route(Anthropic())),
    (re.compile(r"(?:/v1)?/chat/completions"), Route(Chat())),
    (re.compile(r"(?:/v1)?/responses"), Route(Responses())),
    (re.compile(r"(?:/v1(?:beta)?)?/models/[^/:]+:countTokens"), Route(Gemini(), counts=True)),
    (re.compile(r"(?:/v1(?:beta)?)?/models/[^/:]+:(?:streamG|g)enerateContent"), Route(Gemini())),
)


def route(path: str) -> Route | None:
    """What a path (without its query) asks for; None if no protocol has it."""
    return next((found for pattern, found in _ROUTES if pattern.fullmatch(path)), None)
