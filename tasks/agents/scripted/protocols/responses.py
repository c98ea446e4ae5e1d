"""OpenAI's `/v1/responses`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from tasks.agents.scripted.conversation import Answer, Request, Tool, pieces, texts, tool_of
from tasks.agents.scripted.protocols.chat import openai_error
from tasks.agents.scripted.protocols.events import event
from tasks.agents.scripted.tokens import Billed

_CREATED = 1_700_000_000


class Responses:
    """See `protocols.Spoken`."""

    name = "openai-responses"

    def request(self, body: dict[str, Any], path: str) -> Request:
        """See `protocols.Spoken`."""
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        before = list(itertools.takewhile(lambda item: not _is_model(item), items))
        said = [texts(item.get("content")) for item in before if item.get("role") == "user"]
        # what the model said in one answer (reasoning, text, calls) are items one after the other
        answers = sum(is_model for is_model, _ in itertools.groupby(items, _is_model))
        return Request(
            model=str(body["model"]),
            prompt="\n".join(said),
            answers=answers,
            tools=tuple(filter(None, map(_tool, body.get("tools") or ()))),
            stream=bool(body.get("stream")),
            text=json.dumps(body, ensure_ascii=False),
            limit=body.get("max_output_tokens"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return _response(answer, done=True)

    def stream(self, answer: Answer, request: Request) -> Iterator[bytes]:
        """See `protocols.Spoken`."""
        for number, data in enumerate(self._events(answer)):
            yield event({**data, "sequence_number": number}, data["type"])

    def _events(self, answer: Answer) -> Iterator[dict[str, Any]]:
        yield {"type": "response.created", "response": _response(answer, done=False)}
        yield {"type": "response.in_progress", "response": _response(answer, done=False)}
        for index, item in enumerate(_items(answer)):
            place = {"output_index": index, "item_id": item["id"]}
            started = {**item, "status": "in_progress", **{name: _EMPTY[name] for name in _EMPTY if name in item}}
            yield {"type": "response.output_item.added", "output_index": index, "item": started}
            yield from _text_events(item, place) if item["type"] == "message" else _call_events(item, place)
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        done = _response(answer, done=True)
        yield {"type": f"response.{done['status']}", "response": done}

    def error(self, status: int, message: str) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return openai_error(status, message)

    def told(self, billed: Billed, begun: bool, whole: bool) -> Billed | None:
        """See `protocols.Spoken`."""
        return billed.model_copy(update={"cache_write": 0}) if whole else None

    def counted(self, tokens: int) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return {"object": "response.input_tokens", "input_tokens": tokens}


_EMPTY: dict[str, Any] = {"content": [], "arguments": "", "input": ""}


def _is_model(item: dict[str, Any]) -> bool:
    kind = item.get("type", "message")
    return item.get("role") == "assistant" or kind == "reasoning" or kind.endswith("_call")


def _tool(tool: dict[str, Any]) -> Tool | None:
    if tool.get("type") not in ("function", "custom"):
        return None  # the provider's own
    return tool_of(tool["name"], tool.get("parameters"), free=tool["type"] == "custom")


def _items(answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.text:
        content = [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}]
        items.append({"type": "message", "id": f"msg_{answer.ident}", "role": "assistant", "content": content})
    if answer.call is not None:
        call: dict[str, Any] = {"id": f"fc_{answer.ident}", "call_id": f"call_{answer.ident}"}
        call["name"] = answer.call.name
        if answer.free:
            items.append({"type": "custom_tool_call", **call, "input": str(answer.call.arguments.get("input", ""))})
        else:
            items.append({"type": "function_call", **call, "arguments": json.dumps(answer.call.arguments)})
    return [{**item, "status": "completed"} for item in items]


def _text_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    part = item["content"][0]
    place = {**place, "content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _call_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    field = "input" if item["type"] == "custom_tool_call" else "arguments"
    kind = "custom_tool_call_input" if field == "input" else "function_call_arguments"
    for piece in pieces(item[field]):
        yield {"type": f"response.{kind}.delta", **place, "delta": piece}
    yield {"type": f"response.{kind}.done", **place, field: item[field], "name": item["name"]}


def _response(answer: Answer, done: bool) -> dict[str, Any]:
    status = ("incomplete" if answer.shortened else "completed") if done else "in_progress"
    return {
        "id": f"resp_{answer.ident}", "object": "response", "created_at": _CREATED, "status": status, "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if done and answer.shortened else None,
        "instructions": None, "metadata": {}, "model": answer.model, "output": _items(answer) if done else [],
        "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": _usage(answer) if done else None,
    }  # fmt: skip


def _usage(answer: Answer) -> dict[str, Any]:
    billed = answer.billed
    return {
        "input_tokens": billed.input,
        "input_tokens_details": {"cached_tokens": billed.cache_read},
        "output_tokens": billed.output,
        "output_tokens_details": {"reasoning_tokens": billed.reasoning},
        "total_tokens": billed.input + billed.output,
    }
