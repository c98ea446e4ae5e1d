"""From what a model wrote to a validated value: tolerant of fences and prose, strict about the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

T = TypeVar("T", bound=BaseModel)

_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)


class Unparsable(ValueError):
    """The text holds no valid answer; the message is fit to be quoted to the model."""


def parse_answer(text: str, answer: type[T]) -> T:
    """The answer that `text` holds: the whole text, a fenced block, or the first JSON object in prose.

    Raises Unparsable with what is wrong: empty, no JSON (where it broke off), or the schema's complaints.
    """
    if not text.strip():
        raise Unparsable("The answer was empty.")
    complaint: ValidationError | None = None
    for value, whole in _objects(text):
        try:
            return answer.model_validate(value)
        except ValidationError as error:
            if whole:  # what lies inside of a broken object says nothing about the answer
                complaint = complaint or error
    if complaint is not None:
        raise Unparsable(f"The JSON does not match the schema:\n{_explain(complaint)}")
    raise Unparsable(f"The answer holds no complete JSON object: {_why_not(text)}")


def _objects(text: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every JSON object that can be read, the likeliest first; False with it if it comes after a broken one."""
    candidates = [text.strip(), *(match.strip() for match in _FENCE.findall(text))]
    for candidate in candidates:
        try:
            value = json.loads(candidate, strict=False)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value, True
    decoder = json.JSONDecoder(strict=False)
    at, whole = text.find("{"), True
    while at != -1:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            at, whole = text.find("{", at + 1), False
            continue
        if isinstance(value, dict):
            yield value, whole
        at = text.find("{", end)


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False)[:10]:
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        lines.append(f"- {where}: {item['msg']}")
    return "\n".join(lines)


def _why_not(text: str) -> str:
    start = text.find("{")
    if start == -1:
        return "there is no '{'."
    try:
        json.loads(text[start:], strict=False)
    except json.JSONDecodeError as error:
        return f"{error.msg} at character {error.pos} of {len(text) - start}."
    return "it is not an object."
