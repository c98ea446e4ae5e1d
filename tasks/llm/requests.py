"""Requests on disk, beside their replies: what exactly was sent, and what still waits for an answer."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.sandbox import foreign

_PREFIX = 24
"""Digits of a key in a `custom_id`: enough that no two requests share them."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")


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

    @property
    def turn(self) -> int:
        """Which answer of the conversation this asks for, from 1."""
        return 1 + sum(message["role"] == "assistant" for message in self.messages)

    @property
    def custom_id(self) -> str:
        """Its name in a batch file: `<stage>-<commit>-turn<n>-<start of the key>`.

        At most 64 letters, digits, `_` and `-`, which is what both providers take.
        """
        stage, item = (_NO_NAME.sub("_", text) for text in (self.stage[:14], self.item[:12]))
        return f"{stage}-{item}-turn{self.turn}-{self.key[:_PREFIX]}"


class Requests:
    """`<folder>/requests/<first two digits>/<key>.json`; `<folder>/open/<key>` marks one that waits for an answer.

    A store may come from anywhere: no link among its files is followed, and only regular files are read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, request: Request) -> None:
        """Keep a request, unless it is known."""
        if not foreign.is_file(self._folder, _name(request.key)):
            self._folder.mkdir(parents=True, exist_ok=True)
            content = json.dumps(asdict(request), ensure_ascii=False).encode()
            foreign.replace(self._folder, _name(request.key), content)

    def get(self, key: str) -> Request | None:
        """The request, or None. A file that cannot be read as one counts as absent."""
        if not re.fullmatch(r"[0-9a-f]{40}", key):  # of an answers file: no name of a file elsewhere
            return None
        try:
            found: dict[str, Any] = json.loads(foreign.read(self._folder, _name(key)))
            return Request(**{**found, "messages": tuple(found["messages"])})
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def named(self, custom_id: str) -> Request | None:
        """The request that an answer names: by its `custom_id`, or by its whole key."""
        prefix = custom_id.rpartition("-")[2]
        if not re.fullmatch(rf"[0-9a-f]{{{_PREFIX}}}|[0-9a-f]{{40}}", prefix):
            return None
        names = foreign.names(self._folder, f"requests/{prefix[:2]}")
        found = [name.removesuffix(".json") for name in names if name.startswith(prefix)]
        return self.get(found[0]) if len(found) == 1 else None

    def leave_open(self, request: Request) -> None:
        """Note that the request waits for an answer from a batch."""
        self.save(request)
        foreign.replace(self._folder, f"open/{request.key}", b"")

    def close(self, key: str) -> None:
        """The request has its answer."""
        foreign.unlink(self._folder, f"open/{key}")

    def forget_open(self) -> None:
        """Nothing waits: what a run leaves open from now on is what it needs."""
        for name in foreign.names(self._folder, "open"):
            if not foreign.is_folder(self._folder, f"open/{name}"):
                foreign.unlink(self._folder, f"open/{name}")

    def waiting(self) -> list[Request]:
        """Requests that wait, by stage and item."""
        found = [self.get(name) for name in foreign.names(self._folder, "open")]
        return sorted((it for it in found if it is not None), key=lambda it: (it.stage, it.repo, it.item, it.key))


def _name(key: str) -> str:
    return f"requests/{key[:2]}/{key}.json"
