"""OpenAI's `/v1/chat/completions`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tasks.agents.scripted.conversation import Answer, Request, pieces, texts, tool_of
from tasks.agents.scripted.protocols.events import event
from tasks.agents.scripted.tokens import Billed

_CREATED = 1_700_000_000


class Chat:
    """See `protocols.Spoken`."""

    name = "openai-chat"

    def request(self, body: dict[str, Any], path: str) -> Request:
        """See `protocols.Spoken`."""
        messages = body["messages"]
        roles = [message["role"] for message in messages]
        first = roles.index("assistant") if "assistant" in roles else len(roles)
        said = [texts(message["content"]) for message in messages[:first] if message["role"] == "user"]
        return Request(
            model=str(body["model"]),
            prompt="\n".join(said),
            answers=roles.count("assistant"),
            tools=tuple(
                tool_of(tool["function"]["name"], tool["function"].get("parameters"))
                for tool in body.get("tools") or ()
                if tool.get("type") == "function"
            ),
            stream=bool(body.get("stream")),
            text=json.dumps(body, ensure_ascii=False),
            tells_usage=not body.get("stream") or bool((body.get("stream_options") or {}).get("include_usage")),
            limit=body.get("max_completion_tokens") or body.get("max_tokens"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.call is not None:
            message["tool_calls"] = [_call(answer, json.dumps(answer.call.arguments))]
        choice = {"index": 0, "message": message, "finish_reason": _why(answer), "logprobs": None}
        return {**_head(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}

    def stream(self, answer: Answer, request: Request) -> Iterator[bytes]:
        """See `protocols.Spoken`."""
        head = _head(answer, "chat.completion.chunk")
        more = {"usage": None} if request.tells_usage else {}
        for delta in _deltas(answer):
            yield event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more})
        yield event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _why(answer)}], **more})
        if request.tells_usage:
            yield event({**head, "choices": [], "usage": _usage(answer)})
        yield event("[DONE]")

    def error(self, status: int, message: str) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return openai_error(status, message)

    def told(self, billed: Billed, begun: bool, whole: bool) -> Billed | None:
        """See `protocols.Spoken`."""
        return billed.model_copy(update={"cache_write": 0}) if whole else None

    def counted(self, tokens: int) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return {"input_tokens": tokens}


def openai_error(status: int, message: str) -> dict[str, Any]:
    """An error as both protocols of OpenAI say it."""
    kind = {429: "rate_limit_exceeded", 401: "invalid_api_key"}.get(status)
    of = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind or of, "param": None, "code": kind}}


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for piece in pieces(answer.text):
        yield {"content": piece}
    if answer.call is not None:
        yield {"tool_calls": [{"index": 0, **_call(answer, "")}]}
        for piece in pieces(json.dumps(answer.call.arguments)):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _call(answer: Answer, arguments: str) -> dict[str, Any]:
    name = answer.call.name if answer.call else ""
    return {"id": f"call_{answer.ident}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer.ident}", "object": kind, "created": _CREATED, "model": answer.model}


def _why(answer: Answer) -> str:
    if answer.shortened:
        return "length"
    return "stop" if answer.call is None else "tool_calls"


def _usage(answer: Answer) -> dict[str, Any]:
    billed = answer.billed
    return {
        "prompt_tokens": billed.input,
        "completion_tokens": billed.output,
        "total_tokens": billed.input + billed.output,
        "prompt_tokens_details": {"cached_tokens": billed.cache_read},
        "completion_tokens_details": {"reasoning_tokens": billed.reasoning},
    }
