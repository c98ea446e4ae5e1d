"""Answers on their way to the agent: read for what they count, freed of keys, otherwise byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tasks.agents.gateway.counting import Count

MEBIBYTE = 1024 * 1024
LONGEST_EVENT = 16 * MEBIBYTE
"""Bytes of one event that are read for counts; of a longer one only its end is seen."""
LONGEST_ANSWER = 32 * MEBIBYTE
"""Bytes of an answer in one piece that are read for counts."""


class Events:
    """Server-sent events. What is fed comes out at once, unless a chunk must be held back that nobody asked for."""

    def __init__(self, count: Count, hides_usage: bool) -> None:
        """`hides_usage`: the agent did not ask for the chunk with the counts, we did; events then pass one by one."""
        self._count = count
        self._hides = hides_usage
        self._rest = b""
        self._event = bytearray()
        self._drops = False

    def feed(self, data: bytes) -> bytes:
        """Read the next bytes; what of them, and of bytes held back, goes on to the agent now."""
        going = bytearray()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._event += line + b"\n"
            self._read(line)
            if not line.strip():
                going += self._release()
        if len(self._rest) > LONGEST_EVENT:
            going += self._release() + self._rest
            self._rest = b""
        return bytes(going) if self._hides else data

    def end(self) -> bytes:
        """What was still held back when the stream ended."""
        self._read(self._rest)
        return self._release() + self._rest if self._hides else b""

    def _release(self) -> bytes:
        event = b"" if self._drops else bytes(self._event)
        self._event.clear()
        self._drops = False
        return event

    def _read(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        said = line[5:].strip()
        if said == b"[DONE]":
            self._count.whole = True
            return
        try:
            record = json.loads(said)
        except (ValueError, RecursionError):
            return
        if isinstance(record, dict):
            self._count.event(record)
            self._drops = self._hides and not record.get("choices") and bool(record.get("usage"))


class Whole:
    """An answer in one piece, or what is none of the kinds that are known."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._kept = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Keep the next bytes, which go on to the agent now."""
        if len(self._kept) < LONGEST_ANSWER:
            self._kept += data
        return data

    def end(self) -> bytes:
        """Read the answer. Gemini streams a list of chunks where nobody asked for events."""
        try:
            record = json.loads(bytes(self._kept))
        except (ValueError, RecursionError):
            return b""
        if isinstance(record, list) and all(isinstance(item, dict) for item in record):
            for item in record:
                self._count.event(item)
        elif isinstance(record, dict):
            self._count.answer(record)
        return b""


class Scrubber:
    """Takes secrets out of bytes that pass, also where one is cut in two."""

    STARS = b"***"

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets if len(secret) >= 6]
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may go on. Held back is only an end that may be the beginning of a secret."""
        data = self._held + data
        for secret in self._secrets:
            data = data.replace(secret, self.STARS)
        keep = max((_overlap(data, secret) for secret in self._secrets), default=0)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def end(self) -> bytes:
        """What was held back and turned out to be no secret."""
        held, self._held = self._held, b""
        return held

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret.decode(), self.STARS.decode())
        return text


def _overlap(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of the secret."""
    return next((size for size in range(min(len(secret) - 1, len(data)), 0, -1) if data.endswith(secret[:size])), 0)
