"""The speakers in a request: the agent's prompts, results of its tools, earlier answers of its model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from tasks.agents.gateway.counting import parts
from tasks.agents.gateway.protocols import Shape

Voice = Literal["prompt", "tool", "model"]
DEEPEST = 50


def said(shape: Shape, body: dict[str, Any]) -> Iterator[tuple[Voice, str]]:
    """Every text of a conversation, in order, with whose it is. Descriptions of tools are nobody's."""
    if shape == "messages":
        yield from _all("prompt", body.get("system"))
        for message in parts(body, "messages"):
            yield from _anthropic(message)
    elif shape == "chat":
        for message in parts(body, "messages"):
            yield from _chat(message)
    elif shape == "responses":
        yield from _all("prompt", body.get("instructions"))
        yield from _all("prompt", body["input"] if isinstance(body.get("input"), str) else None)
        for item in parts(body, "input"):
            yield from _item(item)
    else:
        yield from _all("prompt", body.get("systemInstruction") or body.get("system_instruction"))
        contents = body.get("contents")
        for content in [contents] if isinstance(contents, dict) else parts(body, "contents"):
            yield from _gemini(content)


def _anthropic(message: dict[str, Any]) -> Iterator[tuple[Voice, str]]:
    if message.get("role") == "assistant":
        yield from _all("model", message.get("content"))
    elif isinstance(message.get("content"), str):
        yield "prompt", message["content"]
    else:
        for block in parts(message, "content"):
            yield from _all("tool" if block.get("type") == "tool_result" else "prompt", block)


def _chat(message: dict[str, Any]) -> Iterator[tuple[Voice, str]]:
    voices: dict[Any, Voice] = {"assistant": "model", "tool": "tool", "function": "tool"}
    yield from _all(voices.get(message.get("role"), "prompt"), message.get("content"))
    for call in parts(message, "tool_calls"):
        yield from _all("model", call.get("function"))


def _item(item: dict[str, Any]) -> Iterator[tuple[Voice, str]]:
    kind = str(item.get("type") or "message")
    if kind.endswith("_output"):
        yield from _all("tool", item.get("output"))
    elif kind == "message" and item.get("role") != "assistant":
        yield from _all("prompt", item.get("content"))
    else:
        yield from _all("model", {name: value for name, value in item.items() if name != "encrypted_content"})


def _gemini(content: dict[str, Any]) -> Iterator[tuple[Voice, str]]:
    for piece in parts(content, "parts"):
        if "functionResponse" in piece:
            yield from _all("tool", piece["functionResponse"])
        else:
            yield from _all("model" if content.get("role") == "model" else "prompt", piece)


def _all(voice: Voice, value: Any) -> Iterator[tuple[Voice, str]]:
    text = "\n".join(_texts(value, 0))
    if text.strip():
        yield voice, text


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Every text inside. Arguments of a call are JSON in a text; pictures are left out."""
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        inner = _parsed(value)
        if inner is not None:
            yield from _texts(inner, depth + 1)
        else:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict) and value.get("type") not in ("image", "image_url", "input_image"):
        for item in value.values():
            yield from _texts(item, depth + 1)


def _parsed(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
