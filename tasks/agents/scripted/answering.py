"""From a request and a script to the answer and its bill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.agents.scripted.conversation import Answer, Request
from tasks.agents.scripted.script import Call, Script, Turn, fitting
from tasks.agents.scripted.tokens import BYTES_PER_TOKEN, Billed, count
from tasks.agents.scripted.tools import words


class NoScript(LookupError):
    """No script fits a conversation; the message says what was asked."""


@dataclass(frozen=True)
class Chosen:
    """The turn that answers a request."""

    turn: Turn
    key: tuple[str, int]
    """Conversation and number of the turn, for faults that happen a number of times."""
    side: bool
    """A request beside the conversation (a title, a summary)."""


def choose(scripts: Sequence[Script], request: Request) -> Chosen:
    """The turn that answers. Raises NoScript."""
    script = fitting(scripts, request.prompt, request.model)
    if script is None:
        start = " ".join(request.prompt.split())[:200]
        raise NoScript(f"no script fits model {request.model!r} and the task {start!r}")
    key = hashlib.sha256(f"{request.model}\0{request.prompt}".encode("utf-8", "replace")).hexdigest()
    if script.side is not None and not request.tools:
        return Chosen(Turn(say=script.side), (key, -1), side=True)
    return Chosen(script.turn(request.answers), (key, request.answers), side=False)


def answer(turn: Turn, request: Request, ident: str) -> Answer:
    """What a turn says to a request, with its bill. Raises `tools.NoTool`."""
    text, call, free = words(turn, request.tools, request.text)
    shortened = False
    if request.limit is not None and call is None and count(text) > request.limit:
        text = text.encode()[: request.limit * BYTES_PER_TOKEN].decode("utf-8", "ignore")
        shortened = True
    return Answer(ident, request.model, text, call, free, _bill(turn, request, text, call), shortened)


def _bill(turn: Turn, request: Request, text: str, call: Call | None) -> Billed:
    usage = turn.usage
    generated = count(text) + (count(call.name + json.dumps(call.arguments)) if call is not None else 0)
    return Billed(
        input=max(count(request.text) if usage.input is None else usage.input, usage.cache_read + usage.cache_write),
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        output=generated + usage.reasoning if usage.output is None else max(usage.output, usage.reasoning),
        reasoning=usage.reasoning,
    )
