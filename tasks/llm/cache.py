"""Replies on disk, by content. One file per request, shared between runs, threads and processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from storage.ids import content_hash
from tasks.sandbox import foreign

MAX_TOKENS = 1 << 40
"""A server that counts more is not believed."""


@dataclass(frozen=True)
class Reply:
    """What a model answered to one request, and what that cost when it was bought."""

    text: str
    tokens_in: int
    tokens_out: int
    cost_usd: float
    finish: str = "stop"
    """Why the model stopped: `stop`, `length`, `content_filter`, `refusal`..."""

    @classmethod
    def of(cls, content: Any, tokens_in: Any, tokens_out: Any, cost_usd: float, finish: str = "stop") -> Reply:
        """The reply that a server sent, whatever that put into its fields."""
        return cls(readable(content), _count(tokens_in), _count(tokens_out), cost_usd, readable(finish))


def readable(content: Any) -> str:
    """The text of a message's content: a text, its parts, or nothing. Half a surrogate pair, which JSON can say and no
    file can hold, is a question mark."""
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in content)
        content = "".join(part for part in parts if isinstance(part, str))
    return str(content or "").encode("utf-8", "replace").decode()


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) and 0 <= tokens <= MAX_TOKENS else 0


def request_key(model: str, messages: Sequence[dict[str, str]], parameters: dict[str, Any], schema: Any) -> str:
    """Name of a request: everything that decides the answer, and nothing secret."""
    return content_hash("llm", model, list(messages), parameters, schema, length=40)


class ReplyCache:
    """`<folder>/<first two digits>/<key>.json`, each whole or not at all.

    A store may come from anywhere: no link among its files is followed, and only regular files are read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Reply | None:
        """The reply, or None. What cannot be read as a reply, such as a pipe in a store from elsewhere, is absent."""
        try:
            return Reply(**json.loads(foreign.read(self._folder, _name(key))))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def put(self, key: str, reply: Reply) -> None:
        """Keep a reply. The last writer wins; readers see a whole file or none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        foreign.replace(self._folder, _name(key), json.dumps(asdict(reply), ensure_ascii=False).encode())

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Hold a request, so that threads and processes that want the same one wait and do not pay twice."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with foreign.folder(self._folder, ["locks"], make=True):
            pass
        with FileLock(self._folder / "locks" / f"{key}.lock", thread_local=False, is_singleton=False):
            yield


def _name(key: str) -> str:
    return f"{key[:2]}/{key}.json"
