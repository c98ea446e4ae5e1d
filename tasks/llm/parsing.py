"""From what a model wrote to a validated value: tolerant of fences, prose and thoughts, strict about the schema.

One answer counts. A model that drafts, or quotes what a commit's author wrote, leaves several objects of the schema in
one reply; which of them it means nobody can tell from outside, so such a reply is refused and goes back to the model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

T = TypeVar("T", bound=BaseModel)

MAX_CHARACTERS = 500_000
"""More than any model writes in one answer; a longer one is not searched."""
MAX_BROKEN = 200
"""Objects that are begun and turn out to be no JSON, in one answer."""

_THOUGHTS = (
    (re.compile(r"<((?:\w+:)?(?:think|thinking|thought|reasoning|reflection|scratchpad|analysis))>", re.I), "</{}>"),
    (re.compile(r"\[(THINK)\]"), "[/{}]"),
    (re.compile(r"◁(think)▷"), "◁/{}▷"),
    (re.compile(r"<\|begin_of_(thought)\|>"), "<|end_of_{}|>"),
    (re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)<\|message\|>()"), "<|end|>"),
)
"""How a reply begins in which a model thinks aloud, and how the thought ends."""
_OBJECT = re.compile(r'\{\s*["}]')
_HALF = re.compile("[\ud800-\udfff]")


class Unparsable(ValueError):
    """The text holds no valid answer; the message is fit to be quoted to the model."""


class _Refused(ValueError):
    """Python's decoder would read it, JSON does not allow it or does not say what it means."""


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    value: dict[str, Any]
    whole: bool
    """False after a broken object: it may be a part of that one."""


def parse_answer(text: str, answer: type[T]) -> T:
    """The one answer that `text` holds: alone, in a fenced block or in prose, after what the model thought aloud.

    Raises Unparsable with what is wrong: empty, no JSON (where it broke off), the schema's complaints, or several
    answers that differ.
    """
    if len(text) > MAX_CHARACTERS:
        raise Unparsable(f"The answer has {len(text)} characters; {MAX_CHARACTERS} are read at most.")
    said = _after_thoughts(text)
    if not said.strip():
        raise Unparsable("The answer was empty." if not text.strip() else "There is a thought, but no answer after it.")
    complaint: ValidationError | None = None
    answers: list[T] = []
    rest, done = [], 0
    for found in _objects(said):
        try:
            value = answer.model_validate(found.value)
        except ValidationError as error:
            if found.whole:  # what lies inside of a broken object says nothing about the answer
                complaint = complaint or error
            continue
        rest.append(said[done : found.start])
        done = found.end
        if value not in answers:
            answers.append(value)
    if len(answers) > 1:
        raise Unparsable(f"{len(answers)} different objects match the schema. Give the final one only.")
    if answers:
        if _looks_like_an_answer("\n".join([*rest, said[done:]]), answer):
            raise Unparsable("Beside an object that matches the schema stands another one that does not. Give one.")
        return answers[0]
    if complaint is not None:
        raise Unparsable(f"The JSON does not match the schema:\n{_explain(complaint)}")
    raise Unparsable(f"The answer holds no complete JSON object: {_why_not(said)}")


def _after_thoughts(text: str) -> str:
    """The text without the thoughts that it begins with. Marks further on are nobody's: a model may quote them."""
    rest = text.lstrip()
    while True:
        for begins, ends in _THOUGHTS:
            if begun := begins.match(rest):
                _, closed, after = _split(rest[begun.end() :], ends.format(begun[1]))
                if not closed:
                    return ""
                rest = after.lstrip()
                break
        else:
            return rest


def _split(text: str, mark: str) -> tuple[str, str, str]:
    found = re.search(re.escape(mark), text, re.IGNORECASE)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


def _looks_like_an_answer(text: str, answer: type[BaseModel]) -> bool:
    """Whether a field of the schema stands there as a key: a draft, or a final answer that broke off."""
    fields = answer.model_fields
    names = [name for name, field in fields.items() if field.is_required()] or list(fields)
    keys = "|".join(re.escape(fields[name].alias or name) for name in names)
    return re.search(rf"""[{{,]\s*["'](?:{keys})["']\s*:""", text) is not None


def _objects(text: str) -> Iterator[_Found]:
    """Every JSON object that can be read and does not lie in another one. Raises Unparsable where that takes too long:
    a broken one is read to where it breaks, and what lies in it is tried next."""
    decoder = _decoder()
    begun, broken = _OBJECT.search(text), 0
    while begun:
        try:
            value, end = decoder.raw_decode(text, begun.start())
        except RecursionError:
            raise Unparsable("The JSON is nested too deeply.") from None
        except ValueError:
            broken += 1
            if broken > MAX_BROKEN:
                raise Unparsable(f"More than {MAX_BROKEN} objects in it are no JSON: {_why_not(text)}") from None
            begun = _OBJECT.search(text, begun.start() + 1)
            continue
        yield _Found(begun.start(), end, value, not broken)
        begun = _OBJECT.search(text, end)


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        strict=False, object_pairs_hook=_distinct, parse_constant=_refused_number, parse_float=_finite
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if any(_HALF.search(item) for pair in pairs for item in pair if isinstance(item, str)):
        raise _Refused("half of a surrogate pair is no character")
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key {twice[:100]!r} stands twice in one object")
    return found


def _refused_number(name: str) -> Any:
    raise _Refused(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise _Refused(f"{text[:40]} is too large a number")
    return number


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False)[:10]:
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        lines.append(f"- {where}: {item['msg']}")
    return "\n".join(lines)


def _why_not(text: str) -> str:
    begun = _OBJECT.search(text)
    start = begun.start() if begun else text.find("{")
    if start == -1:
        return "there is no '{'."
    try:
        _decoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        return f"{error.msg} at character {error.pos - start} of {len(text) - start}."
    except ValueError as error:  # also a number of more digits than Python reads
        return f"{error}."
    return "it is not an object."
