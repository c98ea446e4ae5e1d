"""A request's body: a JSON object that is changed in single members, all other bytes staying as they were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]  # what json itself reads names with
from typing import Any

_BLANK = re.compile(r"[ \t\n\r]*")
MEANT = frozenset({
    "model", "messages", "input", "contents", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "max_output_tokens", "n", "tools", "service_tier", "speed", "background", "thinking", "generationconfig",
    "generation_config", "mcp_servers",
})  # fmt: skip
"""Members that something is decided by. Servers that take `Model` for `model` must not be told something else by it."""


MOST_VALUES = 1_000_000
"""Commas and opening brackets, in texts too: an empty list takes ten times as much memory as it takes bytes."""


class BadBody(ValueError):
    """The body is no JSON object that everybody reads the same way; the message says why."""


@dataclass
class Body:
    """What a body says, and where each member of it stands."""

    text: str
    values: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each member: where its value begins and ends."""
    end: int = 0
    """Where the object's closing brace is."""

    @classmethod
    def read(cls, data: bytes) -> Body:
        """Raises BadBody: what two readers may understand in two ways must not get past one of them."""
        if sum(data.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES:
            raise BadBody(f"the body has more than {MOST_VALUES} values")
        try:
            body = cls(data.decode())
            body._scan()
        except BadBody:
            raise
        except (ValueError, RecursionError) as error:
            raise BadBody(f"the body is not JSON: {str(error)[:200]}") from None
        for name in body.values:
            if name.lower() in MEANT and name not in MEANT and name != "generationConfig":
                raise BadBody(f"the body has a member {name!r}, whose name is written otherwise")
        return body

    def _scan(self) -> None:
        at = self._expect(_skip(self.text, 0), "{")
        while True:
            at = _skip(self.text, at)
            if self.text[at : at + 1] == "}" and not self.values:
                break
            name, at = scanstring(self.text, self._expect(at, '"'))
            at = _skip(self.text, self._expect(_skip(self.text, at), ":"))
            value, end = _DECODER.raw_decode(self.text, at)
            if name in self.values:
                raise BadBody(f"the body has two members {name!r}")
            self.values[name], self.spans[name] = value, (at, end)
            at = _skip(self.text, end)
            if self.text[at : at + 1] == "}":
                break
            at = self._expect(at, ",")
        self.end = at
        if _skip(self.text, at + 1) != len(self.text):
            raise BadBody("something follows the body's JSON object")

    def _expect(self, at: int, sign: str) -> int:
        if self.text[at : at + 1] != sign:
            raise BadBody(f"the body is not a JSON object: {sign!r} is missing at character {at}")
        return at + 1

    def cuts(self) -> list[int]:
        """Where the messages of the conversation begin, in bytes of the body."""
        found: list[int] = []
        for name in ("messages", "input", "contents"):
            if not isinstance(self.values.get(name), list):
                continue
            at, end = self.spans[name]
            at = _skip(self.text, at + 1)
            while at < end - 1:
                found.append(at)
                at = _skip(self.text, _DECODER.raw_decode(self.text, at)[1])
                at = _skip(self.text, at + 1)  # the comma, or the list's end
        if not self.text.isascii():
            places, size, before = [], 0, 0
            for at in sorted(found):
                size += len(self.text[before:at].encode())
                before = at
                places.append(size)
            return places
        return sorted(found)

    def with_members(self, changes: Mapping[str, Any]) -> bytes:
        """The body with these members set to these values; all else byte for byte as it was."""
        text, added = self.text, ""
        for name, value in changes.items():
            if name not in self.spans:
                added += f"{',' if self.values or added else ''}{json.dumps(name)}:{json.dumps(value)}"
        text = text[: self.end] + added + text[self.end :]
        for name in sorted(self.spans.keys() & changes.keys(), key=lambda it: -self.spans[it][0]):
            start, end = self.spans[name]
            text = text[:start] + json.dumps(changes[name]) + text[end:]
        return text.encode()


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadBody("the body has an object with two members of one name")
    return found


def _no_constant(name: str) -> Any:
    raise BadBody(f"the body has {name}, which is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
