"""Anthropic's `/v1/messages`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tasks.agents.scripted.conversation import Answer, Request, pieces, texts, tool_of
from tasks.agents.scripted.protocols.events import event
from tasks.agents.scripted.tokens import Billed

_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip


class Anthropic:
    """See `protocols.Spoken`."""

    name = "anthropic"

    def request(self, body: dict[str, Any], path: str) -> Request:
        """See `protocols.Spoken`."""
        messages = body["messages"]
        roles = [message["role"] for message in messages]
        first = roles.index("assistant") if "assistant" in roles else len(roles)
        return Request(
            model=str(body["model"]),
            prompt="\n".join(texts(message["content"]) for message in messages[:first]),
            answers=roles.count("assistant"),
            tools=tuple(
                tool_of(tool["name"], tool.get("input_schema"))
                for tool in body.get("tools") or ()
                if "input_schema" in tool  # others are the provider's own
            ),
            stream=bool(body.get("stream")),
            text=json.dumps(body, ensure_ascii=False),
            limit=body.get("max_tokens"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return {**_message(answer), "content": _blocks(answer), "stop_reason": _why(answer), "usage": _usage(answer)}

    def stream(self, answer: Answer, request: Request) -> Iterator[bytes]:
        """See `protocols.Spoken`."""
        for data in self._events(answer):
            yield event(data, data["type"])

    def _events(self, answer: Answer) -> Iterator[dict[str, Any]]:
        usage = {**_usage(answer), "output_tokens": 1}  # as far as it is known at the beginning
        yield {"type": "message_start", "message": {**_message(answer), "usage": usage}}
        for index, block in enumerate(_blocks(answer)):
            is_text = block["type"] == "text"
            empty = {**block, "text": ""} if is_text else {**block, "input": {}}
            yield {"type": "content_block_start", "index": index, "content_block": empty}
            for piece in pieces(block["text"] if is_text else json.dumps(block["input"])):
                delta = (
                    {"type": "text_delta", "text": piece}
                    if is_text
                    else {"type": "input_json_delta", "partial_json": piece}
                )
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        end = {"stop_reason": _why(answer), "stop_sequence": None}
        yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": answer.billed.output}}
        yield {"type": "message_stop"}

    def error(self, status: int, message: str) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}

    def told(self, billed: Billed, begun: bool, whole: bool) -> Billed | None:
        """See `protocols.Spoken`."""
        seen = {"reasoning": 0} if whole else {"reasoning": 0, "output": 1}
        return billed.model_copy(update=seen) if begun else None

    def counted(self, tokens: int) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return {"input_tokens": tokens}


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.ident}", "type": "message", "role": "assistant", "model": answer.model, "content": [],
        "stop_reason": None, "stop_sequence": None,
    }  # fmt: skip


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    if answer.call is not None:
        call = {"id": f"toolu_{answer.ident}", "name": answer.call.name, "input": answer.call.arguments}
        blocks.append({"type": "tool_use", **call})
    return blocks


def _why(answer: Answer) -> str:
    if answer.shortened:
        return "max_tokens"
    return "end_turn" if answer.call is None else "tool_use"


def _usage(answer: Answer) -> dict[str, int]:
    billed = answer.billed
    return {
        "input_tokens": billed.input - billed.cache_read - billed.cache_write,
        "cache_creation_input_tokens": billed.cache_write,
        "cache_read_input_tokens": billed.cache_read,
        "output_tokens": billed.output,
    }
