"""Requests on disk, beside their replies: what exactly was sent, and what still waits for an answer."""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """Everything that goes to a model, and what it was for. Holds no key and no address of a server."""

    key: str
    """Name of the request and of its reply: see `cache.request_key`. 40 hex digits."""
    model: str
    messages: tuple[dict[str, str], ...]
    max_tokens: int
    temperature: float | None
    repo: str
    stage: str
    item: str
    prompt: str
    """Name and version of the template, e.g. `perf_test v2`."""
    prompt_sha: str


class Requests:
    """`<folder>/requests/<first two digits>/<key>.json`; `<folder>/open/<key>` marks one that waits for an answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, request: Request) -> None:
        """Keep a request, unless it is known."""
        path = self._path(request.key)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{request.key}.{uuid.uuid4().hex[:8]}.tmp")
        temporary.write_text(json.dumps(asdict(request), ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, path)

    def get(self, key: str) -> Request | None:
        """The request, or None. A file that cannot be read as one counts as absent."""
        if not re.fullmatch(r"[0-9a-f]{40}", key):  # of an answers file: no name of a file elsewhere
            return None
        try:
            found: dict[str, Any] = json.loads(self._path(key).read_text(encoding="utf-8"))
            return Request(**{**found, "messages": tuple(found["messages"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def leave_open(self, request: Request) -> None:
        """Note that the request waits for an answer from a batch."""
        self.save(request)
        self._open.mkdir(parents=True, exist_ok=True)
        (self._open / request.key).touch()

    def close(self, key: str) -> None:
        """The request has its answer."""
        (self._open / key).unlink(missing_ok=True)

    def forget_open(self) -> None:
        """Nothing waits: what a run leaves open from now on is what it needs."""
        for path in self._open.glob("*"):
            path.unlink(missing_ok=True)

    def waiting(self) -> list[Request]:
        """Requests that wait, by stage and item."""
        found = [self.get(path.name) for path in self._open.glob("*")]
        return sorted((it for it in found if it is not None), key=lambda it: (it.stage, it.repo, it.item, it.key))

    @property
    def _open(self) -> Path:
        return self._folder / "open"

    def _path(self, key: str) -> Path:
        return self._folder / "requests" / key[:2] / f"{key}.json"
