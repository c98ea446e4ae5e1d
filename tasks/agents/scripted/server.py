"""The scripted model's server: HTTP on the loopback or on a unix socket, a thread per connection."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tasks.agents.scripted.answering import Chosen
from tasks.agents.scripted.handler import Handler
from tasks.agents.scripted.script import Fault, Script
from tasks.agents.scripted.seen import Seen
from tasks.agents.scripted.tokens import Billed


class ScriptedModel:
    """A model that says what its scripts tell it to; see the package's docstring. Start it with `with`."""

    def __init__(self, scripts: Sequence[Script], port: int = 0, path: Path | None = None) -> None:
        """`port` of 127.0.0.1, 0 for any that is free; with `path` a unix socket in its place."""
        self.scripts = tuple(scripts)
        self.ending = threading.Event()
        """Set when the server closes: who hangs or pauses stops."""
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._numbers = itertools.count(1)
        self._faults: dict[tuple[str, int], list[_Pending]] = {}
        self._asked: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._server = _Server(("127.0.0.1", port), self) if path is None else _UnixServer(path, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Base URL of all protocols, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests_seen(self) -> list[Seen]:
        """All requests that have ended so far, in order."""
        with self._lock:
            return list(self._seen)

    @property
    def usage(self) -> Billed:
        """What a provider would have billed so far."""
        return sum((seen.billed for seen in self.requests_seen if seen.billed is not None), Billed())

    @property
    def told(self) -> Billed:
        """What usage fields have told so far: less than `usage` where answers were cut off or did not tell."""
        return sum((seen.told for seen in self.requests_seen if seen.told is not None), Billed())

    def next_ident(self) -> str:
        """A name for an answer; no two answers of a server have the same."""
        return f"{next(self._numbers):06d}"

    def fault(self, chosen: Chosen) -> Fault | None:
        """The fault that is due in the place of an answer, which is then spent."""
        with self._lock:
            pending = self._faults.setdefault(chosen.key, [_Pending(fault) for fault in chosen.turn.faults])
            while pending:
                if pending[0].take():
                    return pending[0].fault
                pending.pop(0)
        return None

    def note(self, seen: Seen) -> None:
        """Keep what became of a request."""
        with self._lock:
            self._seen.append(seen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Pending:
    """A fault that is still to happen."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._left = fault.times
        self._until: float | None = None

    def take(self) -> bool:
        """Whether it happens now."""
        if self.fault.for_s is not None:
            self._until = self._until or time.monotonic() + self.fault.for_s
            return time.monotonic() < self._until
        self._left -= 1
        return self._left >= 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: Any, model: ScriptedModel) -> None:
        self.model = model
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An agent that goes away in the middle is no event."""


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def __init__(self, path: Path, model: ScriptedModel) -> None:
        super().__init__(str(path), model)

    def server_bind(self) -> None:
        """Bind, open to whoever sees the folder; HTTP's own way wants a host name."""
        self.socket.bind(self.server_address)
        os.chmod(str(self.server_address), 0o666)
        self.server_name, self.server_port = "localhost", 0

    def get_request(self) -> tuple[Any, Any]:
        """A connection; it comes from nowhere."""
        connection, _ = self.socket.accept()
        return connection, ("unix", 0)
