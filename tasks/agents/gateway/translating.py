"""Providers that speak no protocol of agents' (Bedrock, Vertex, ...): litellm asks them, and answers as agents expect.

litellm takes whatever it is given for a setting of its own: a member `api_base` of a request would send the key to
wherever the agent likes. So only members that mean something to a model are handed over. All its work is done in one
event loop of the process, which never ends, since its clients belong to the loop that made them.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from tasks.agents.gateway.bridges import BRIDGES, Asked, Tap
from tasks.agents.gateway.counting import Count
from tasks.agents.gateway.models import AllowedModel
from tasks.agents.gateway.protocols import Call, refusal
from tasks.agents.gateway.upstream import Answer, Unanswered
from tasks.llm.client import describe, load_litellm

_TAKEN = {
    "messages": "messages max_tokens system tools tool_choice temperature top_p top_k stop_sequences thinking stream",
    "chat": "messages tools tool_choice temperature top_p stop n seed presence_penalty frequency_penalty logit_bias "
    "response_format parallel_tool_calls max_tokens max_completion_tokens reasoning_effort stream stream_options",
    "responses": "input instructions tools tool_choice temperature top_p max_output_tokens reasoning text "
    "parallel_tool_calls stream truncation include",
    "gemini": "contents tools toolConfig systemInstruction generationConfig",
}
"""Members of a request that are handed over, by shape."""


@asynccontextmanager
async def translated(
    call: Call, model: AllowedModel, body: bytes, streams: bool, silence_s: float
) -> AsyncIterator[Answer]:
    """Ask a provider through litellm. `silence_s` as in `upstream.asked`; raises Unanswered."""
    count = Count("chat")
    try:
        given = await _there(_ask(call, model, json.loads(body), streams, silence_s, count), silence_s)
    except Unanswered:
        raise
    except Exception as error:  # litellm raises a class per provider fault, and some of its own
        status = getattr(error, "status_code", None)
        status = status if isinstance(status, int) and 400 <= status < 600 else 502
        yield Answer(status, [_JSON], False, _one(refusal(call.protocol, status, _told(error))))
        return
    if not streams:
        yield Answer(200, [_JSON], False, _one(_json(given)), count)
        return
    pieces = _events(call, given.__aiter__(), silence_s)
    try:
        yield Answer(200, [("Content-Type", "text/event-stream")], True, pieces, count)
    finally:
        await pieces.aclose()


_JSON = ("Content-Type", "application/json")


async def _ask(
    call: Call, model: AllowedModel, body: dict[str, Any], streams: bool, silence_s: float, count: Count
) -> Any:
    """An answer of the call's protocol, or an iterator of its events."""
    litellm = await asyncio.to_thread(load_litellm)
    provider = model.provider
    taken = {name: body[name] for name in _TAKEN[call.shape].split() if name in body}
    asked = Asked(f"{provider.translate}/{model.upstream}", taken, streams)
    options: dict[str, Any] = {
        "model": asked.model,
        "timeout": silence_s,
        "num_retries": 0,  # the agent's are the only retries
        "max_retries": 0,
        "stream": streams,
        "_skip_mcp_handler": True,  # it wants a package that litellm does not depend on
    }
    if streams:
        options["stream_options"] = {"include_usage": True}
    if provider.base_url:
        options["api_base"] = provider.base_url
    if provider.api_key is not None:
        options["api_key"] = provider.api_key.get_secret_value()
    bridge = BRIDGES[call.shape]()
    given = await litellm.acompletion(**{**bridge.chat(asked), **options})
    if not streams:
        count.answer(given.model_dump())
        return bridge.answer(asked, given)
    tap = Tap(given, count)
    await tap.begin()
    return bridge.events(asked, tap)


async def _events(call: Call, given: AsyncIterator[Any], silence_s: float) -> AsyncGenerator[bytes]:
    """What litellm streams, as events of the protocol."""
    try:
        while True:
            try:
                item = await _there(_next(given), silence_s)
            except (Unanswered, asyncio.CancelledError):
                raise
            except Exception as error:
                raise Unanswered("cut", _told(error)) from None
            if item is _END:
                break
            if isinstance(item, bytes | str):
                yield item.encode() if isinstance(item, str) else item
            else:
                said = _json(item)
                kind = json.loads(said).get("type") if call.shape in ("messages", "responses") else None
                yield (f"event: {kind}\n".encode() if kind else b"") + b"data: " + said + b"\n\n"
        if call.shape == "chat":
            yield b"data: [DONE]\n\n"
    finally:
        close = getattr(given, "aclose", None)
        if close is not None:
            asyncio.run_coroutine_threadsafe(_quietly(close()), _loop())


def _told(error: Exception) -> str:
    """What went wrong, without litellm's tracebacks, which name folders of this machine."""
    return describe(error).split(" Traceback (most recent call last)")[0]


_END = object()


async def _next(given: AsyncIterator[Any]) -> Any:
    return await anext(given, _END)


async def _quietly(closing: Any) -> None:
    try:
        await closing
    except Exception:  # what ends a stream that nobody reads is of no interest
        return


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _json(item: Any) -> bytes:
    if hasattr(item, "model_dump_json"):
        text: str = item.model_dump_json(exclude_none=True)
        return text.encode()
    return json.dumps(item).encode()


async def _there(work: Coroutine[Any, Any, Any], silence_s: float) -> Any:
    """Do something in litellm's loop. Raises Unanswered if it takes too long."""
    future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _loop()))
    try:
        return await asyncio.wait_for(future, silence_s)
    except TimeoutError:
        raise Unanswered("hang", f"nothing came for {silence_s:g} s") from None


@lru_cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="litellm", daemon=True).start()
    return loop
