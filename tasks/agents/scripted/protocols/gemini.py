"""Gemini's `models/<name>:generateContent` and `:streamGenerateContent`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tasks.agents.scripted.conversation import Answer, Request, pieces, texts, tool_of
from tasks.agents.scripted.protocols.events import event
from tasks.agents.scripted.tokens import Billed

_NAMES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
          429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip


class Gemini:
    """See `protocols.Spoken`. Streams are server-sent events, as with `alt=sse`."""

    name = "gemini"

    def request(self, body: dict[str, Any], path: str) -> Request:
        """See `protocols.Spoken`."""
        asked = body.get("generateContentRequest", body)
        contents = asked["contents"]
        contents = [contents] if isinstance(contents, dict) else contents
        roles = [content.get("role", "user") for content in contents]
        first = roles.index("model") if "model" in roles else len(roles)
        # the provider takes both spellings, and clients use both
        kinds = [
            tool.get("functionDeclarations") or tool.get("function_declarations") for tool in asked.get("tools") or ()
        ]
        declared = [item for kind in kinds for item in kind or ()]
        settings = asked.get("generationConfig") or asked.get("generation_config") or {}
        found = re.search(r"/models/([^/:]+):(\w+)", path)
        return Request(
            model=found[1] if found else "",
            prompt="\n".join(texts(content["parts"]) for content in contents[:first]),
            answers=roles.count("model"),
            tools=tuple(
                tool_of(item["name"], _plain(item.get("parametersJsonSchema") or item.get("parameters")))
                for item in declared
            ),
            stream=bool(found) and found[2] == "streamGenerateContent" if found else False,
            text=json.dumps(body, ensure_ascii=False),
            limit=settings.get("maxOutputTokens") or settings.get("max_output_tokens"),
        )

    def whole(self, answer: Answer) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return _chunk(answer, list(_parts(answer)), last=True)

    def stream(self, answer: Answer, request: Request) -> Iterator[bytes]:
        """See `protocols.Spoken`."""
        for piece in pieces(answer.text):
            yield event(_chunk(answer, [{"text": piece}], last=False))
        last = [part for part in _parts(answer) if "text" not in part]
        yield event(_chunk(answer, last or [{"text": ""}], last=True))

    def error(self, status: int, message: str) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return {"error": {"code": status, "message": message, "status": _NAMES.get(status, "UNKNOWN")}}

    def told(self, billed: Billed, begun: bool, whole: bool) -> Billed | None:
        """See `protocols.Spoken`."""
        if whole:
            return billed.model_copy(update={"cache_write": 0})
        return Billed(input=billed.input) if begun else None

    def counted(self, tokens: int) -> dict[str, Any]:
        """See `protocols.Spoken`."""
        return {"totalTokens": tokens}


def _plain(schema: Any) -> Any:
    """A schema with its types in JSON schema's own words: Gemini also takes `STRING`."""
    if isinstance(schema, dict):
        return {
            name: value.lower() if name == "type" and isinstance(value, str) else _plain(value)
            for name, value in schema.items()
        }
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


def _parts(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.text:
        yield {"text": answer.text}
    if answer.call is not None:
        yield {"functionCall": {"name": answer.call.name, "args": answer.call.arguments}}


def _chunk(answer: Answer, parts: list[dict[str, Any]], last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if last:
        candidate["finishReason"] = "MAX_TOKENS" if answer.shortened else "STOP"
    usage = _usage(answer) if last else {"promptTokenCount": answer.billed.input}
    return {
        "candidates": [candidate], "usageMetadata": usage, "modelVersion": answer.model, "responseId": answer.ident,
    }  # fmt: skip


def _usage(answer: Answer) -> dict[str, int]:
    billed = answer.billed
    return {
        "promptTokenCount": billed.input,
        "cachedContentTokenCount": billed.cache_read,
        "candidatesTokenCount": billed.output - billed.reasoning,
        "thoughtsTokenCount": billed.reasoning,
        "totalTokenCount": billed.input + billed.output,
    }
