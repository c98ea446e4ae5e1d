"""Every request and answer of an attempt, kept: compressed, by content, in the store's work area.

    agents/exchanges/pieces/<2 digits>/<sha256>.z     what was said: a piece of a body, zlib
    agents/exchanges/attempts/<attempt>.jsonl         one line per request: its pieces, its answer's, its usage
    agents/exchanges/attempts/<attempt>.jsonl.before/1.jsonl   of an earlier time, ended in the middle

A conversation sends all that was said before with every request. So a request is cut where its messages begin, and each
message is one piece, which is there once, however often it is sent; the pieces in a row are the body, byte for byte.
Keys are in neither: requests are kept without their headers, and answers are freed of keys before they get here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.escaping import for_file_name
from storage.store import Store
from tasks.agents.gateway.models import Usage
from tasks.sandbox import foreign

MEBIBYTE = 1024 * 1024
LARGEST = 64 * MEBIBYTE
"""Bytes of one body that are read back."""
MOST = 2048 * MEBIBYTE
"""Bytes on disk that one attempt's records may take; an agent may send what it likes, as often as it likes."""
BLOCK = 4096
"""Bytes that a file takes beside its own."""
SMALLEST = 256
"""Bytes below which a piece is not worth a file of its own: it stays with the next one."""


class Exchange(BaseModel):
    """A request, and what became of it."""

    model_config = ConfigDict(frozen=True)

    number: int
    """From 1, in the order in which they ended."""
    began: datetime
    seconds: float
    path: str
    model: str = ""
    """The name that the agent used."""
    status: int
    """HTTP status that the agent got; 0 if it got none."""
    ended: str
    """`whole`, `refused`, or the kind of fault."""
    usage: Usage = Usage()
    request: tuple[str, ...] = ()
    """Hashes of the pieces of its body, as the agent sent it."""
    answer: tuple[str, ...] = ()
    """The same of its answer, as it came from the provider."""
    left_out: int = 0
    """Bytes of a very long answer that were not kept."""


class Recorder:
    """Writes down the exchanges of one attempt. May be called from any thread."""

    def __init__(self, folder: Path, attempt: str, most: int = MOST) -> None:
        """`folder`: where exchanges of all attempts are, see `folder_of`; `most`: bytes that this one may add."""
        self._folder = folder
        self._name = f"attempts/{for_file_name(attempt)}.jsonl"
        self._lock = threading.Lock()
        self._number = 0
        self._known: set[str] = set()
        self._room = most

    def note(self, exchange: Exchange, request: bytes, cuts: list[int], answer: bytes) -> Exchange:
        """Write an exchange down; returns it with its number and its pieces. Raises OSError, `foreign.Refused` if full.

        `cuts`: where the request's messages begin, in bytes.
        """
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            asked = tuple(self._keep(piece) for piece in pieces(request, cuts))
            answered = tuple(self._keep(piece) for piece in pieces(answer, []))
            self._number += 1
            exchange = exchange.model_copy(update={"number": self._number, "request": asked, "answer": answered})
            if self._number == 1:
                self._begin()
            line = exchange.model_dump_json().encode() + b"\n"
            self._take(len(line))
            with (self._folder / self._name).open("ab") as file:
                file.write(line)
        return exchange

    def _write(self, name: str, packed: bytes) -> None:
        self._take(len(packed) + BLOCK)
        foreign.replace(self._folder, name, packed)

    def _take(self, size: int) -> None:
        if size > self._room:
            raise foreign.Refused("the attempt's records take more than they may: this one is not kept")
        self._room -= size

    def _begin(self) -> None:
        """A new index. One of an earlier time, which was ended in the middle, stays: it was paid for."""
        index = self._folder / self._name
        index.parent.mkdir(exist_ok=True)
        earlier = len(foreign.names(self._folder, f"{self._name}.before"))
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{self._name}.before").mkdir(exist_ok=True)
            index.rename(self._folder / f"{self._name}.before" / f"{earlier + 1}.jsonl")

    def _keep(self, piece: bytes) -> str:
        digest = hashlib.sha256(piece).hexdigest()
        name = _place(digest)
        if digest not in self._known:
            if not foreign.is_file(self._folder, name):
                self._write(name, zlib.compress(piece, 6))
            self._known.add(digest)
        return digest


def folder_of(store: Store) -> Path:
    """Where the exchanges of a store's attempts are kept; it need not exist."""
    return store.work / "agents" / "exchanges"


def exchanges(folder: Path, attempt: str) -> Iterator[Exchange]:
    """What an attempt asked and got, in order. A line that cannot be read is passed over."""
    try:
        text = foreign.read(folder, f"attempts/{for_file_name(attempt)}.jsonl", LARGEST)
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            yield Exchange.model_validate(json.loads(line))
        except (ValueError, ValidationError):
            continue


def body(folder: Path, hashes: tuple[str, ...]) -> bytes:
    """The bytes of a request or an answer. Raises OSError where a piece is gone or is not what its name says."""
    found = b""
    for digest in hashes:
        packed = foreign.read(folder, _place(digest), LARGEST)
        try:
            piece = zlib.decompressobj().decompress(packed, LARGEST)
        except zlib.error as error:
            raise OSError(f"{digest} is damaged: {error}") from None
        if hashlib.sha256(piece).hexdigest() != digest:
            raise OSError(f"{digest} is not what its name says")
        found += piece
    return found


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in a row, cut at these places, but for pieces that are too small."""
    places = [0]
    for cut in sorted({*cuts}):
        if cut - places[-1] >= SMALLEST and cut < len(data):
            places.append(cut)
    return [data[start:end] for start, end in zip(places, [*places[1:], len(data)], strict=True)] if data else []


def _place(digest: str) -> str:
    return f"pieces/{digest[:2]}/{digest}.z"
