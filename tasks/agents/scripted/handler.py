"""One connection of the scripted model: reads requests, sends answers or faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.agents.scripted.answering import Chosen, NoScript, answer, choose
from tasks.agents.scripted.conversation import Answer, Request
from tasks.agents.scripted.protocols import Route, Spoken, route
from tasks.agents.scripted.script import Fault
from tasks.agents.scripted.seen import Seen
from tasks.agents.scripted.tokens import Billed, count
from tasks.agents.scripted.tools import NoTool

if TYPE_CHECKING:
    from tasks.agents.scripted.server import ScriptedModel

LARGEST = 256 * 1024 * 1024
"""Bytes of a request that is read."""


class Handler(BaseHTTPRequestHandler):
    """Lives as long as its connection."""

    protocol_version = "HTTP/1.1"
    server_version = "isobench-scripted"
    sys_version = ""
    disable_nagle_algorithm = False  # a unix socket has no such option; pieces are flushed as they are
    wbufsize = -1

    @property
    def model(self) -> ScriptedModel:
        """Whose connection it is."""
        return self.server.model  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        """Say nothing: `requests_seen` has it."""

    def do_HEAD(self) -> None:
        """Whether anybody is there."""
        self._send(200, b"")

    def do_GET(self) -> None:
        """The list of models: those that scripts name."""
        path = urlsplit(self.path).path
        if not path.endswith("/models"):
            self._send(200 if path == "/" else 404, b"{}")
            return
        names = sorted({script.model for script in self.model.scripts if script.model}) or ["scripted"]
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "isobench", "type": "model"} for name in names
        ]
        gemini = [{"name": f"models/{name}"} for name in names]
        self._send(200, json.dumps({"object": "list", "data": models, "models": gemini, "has_more": False}).encode())

    def do_POST(self) -> None:
        """A request of a protocol."""
        path = urlsplit(self.path).path
        found = route(path)
        raw = self._body()
        if found is None or raw is None:
            message = "no such path" if found is None else "the request has no length or is too long"
            self.close_connection = True
            self._note("", {}, "", None, 404 if found is None else 413, "error", None, None)
            self._send(404 if found is None else 413, json.dumps({"error": {"message": message}}).encode())
            return
        try:
            body = json.loads(raw)
            request = found.spoken.request(body, path)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._refuse(found.spoken, {}, "", 400, f"not a request of this protocol: {error!r}")
            return
        self._answer(found, body, request)

    def _answer(self, found: Route, body: dict[str, Any], request: Request) -> None:
        spoken = found.spoken
        if found.counts:
            self._note(spoken.name, body, request.model, None, 200, "whole", None, None)
            self._send(200, json.dumps(spoken.counted(count(request.text))).encode())
            return
        try:
            chosen = choose(self.model.scripts, request)
            said = answer(chosen.turn, request, self.model.next_ident())
        except (NoScript, NoTool) as error:
            self._refuse(spoken, body, request.model, 400, str(error))
            return
        fault = self.model.fault(chosen)
        if fault is None or fault.cut:
            self._speak(spoken, body, request, chosen, said, cut=fault is not None)
        else:
            self._fail(spoken, body, request, fault)

    def _speak(
        self, spoken: Spoken, body: dict[str, Any], request: Request, chosen: Chosen, said: Answer, cut: bool
    ) -> None:
        if request.stream:
            parts, kind = list(spoken.stream(said, request)), "text/event-stream"
        else:
            parts, kind = [json.dumps(spoken.whole(said)).encode()], "application/json"
        pieces, length = len(parts), len(parts[0])
        if cut:
            parts = parts[: len(parts) // 2] if request.stream else [parts[0][: length // 2]]
        turn = None if chosen.side else chosen.key[1]

        def note(sent: int) -> None:
            ended = "left" if sent < len(parts) else "cut" if cut else "whole"
            billed = said.billed if ended == "whole" else _generated(said.billed, sent, pieces)
            told = spoken.told(said.billed, sent > 0, ended == "whole" and request.tells_usage)
            self._note(spoken.name, body, request.model, turn, 200, ended, billed, told)

        self._send_parts(parts, kind, None if request.stream else length, chosen.turn.pause_s, cut, note)

    def _fail(self, spoken: Spoken, body: dict[str, Any], request: Request, fault: Fault) -> None:
        if fault.status is not None:
            self._refuse(spoken, body, request.model, fault.status, "the script says so", fault.retry_after_s)
        elif fault.nonsense:
            self._note(spoken.name, body, request.model, None, 200, "nonsense", None, None)
            self._send(200, b"<html><body>It works!</body></html>", "text/html")
        else:
            self.model.ending.wait(fault.hang_s)
            self.close_connection = True
            self._note(spoken.name, body, request.model, None, 0, "hung", None, None)

    def _refuse(
        self, spoken: Spoken, body: dict[str, Any], model: str, status: int, message: str, after_s: float | None = None
    ) -> None:
        headers = {} if after_s is None else {"retry-after": f"{after_s:g}"}
        self._note(spoken.name, body, model, None, status, "error", None, None)
        self._send(status, json.dumps(spoken.error(status, message)).encode(), headers=headers)

    def _body(self) -> bytes | None:
        """The request's bytes; None where they cannot be told or are too many."""
        if "chunked" in (self.headers.get("transfer-encoding") or "").lower():
            return self._chunks()
        length = self.headers.get("content-length") or ""
        return self.rfile.read(int(length)) if length.isdigit() and int(length) <= LARGEST else None

    def _chunks(self) -> bytes | None:
        found = b""
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError:
                return None
            if len(found) + size > LARGEST:
                return None
            found += self.rfile.read(size)
            self.rfile.readline(8)
            if size == 0:
                return found

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _send_parts(
        self, parts: Sequence[bytes], kind: str, length: int | None, pause_s: float, broken: bool,
        note: Callable[[int], None],
    ) -> None:  # fmt: skip
        """Send an answer, of which the connection keeps the end to itself if it is `broken`.

        `note` hears how many parts were sent, just before the last one is: who has the whole answer finds it noted.
        """
        sent = 0
        try:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header(*(("transfer-encoding", "chunked") if length is None else ("content-length", str(length))))
            self.end_headers()
            for part in parts:
                if pause_s and self.model.ending.wait(pause_s):
                    raise ConnectionAbortedError
                sent += 1
                if sent == len(parts):
                    note(sent)
                self.wfile.write(part if length is not None else b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.flush()
            if length is None and not broken:
                self.wfile.write(b"0\r\n\r\n")
                self.wfile.flush()
        except OSError:
            broken = True
            if sent < len(parts):
                note(max(sent - 1, 0))
        self.close_connection = self.close_connection or broken

    def _note(
        self, protocol: str, body: dict[str, Any], model: str, turn: int | None, status: int, ended: str,
        billed: Billed | None, told: Billed | None,
    ) -> None:  # fmt: skip
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.model.note(Seen(protocol, self.path, headers, body, model, turn, status, ended, billed, told))


def _generated(billed: Billed, sent: int, pieces: int) -> Billed:
    """What a provider bills of an answer that broke off: the prompt, and of the output the share that was sent."""
    share = billed.output * sent // pieces
    return billed.model_copy(update={"output": share, "reasoning": min(billed.reasoning, share)})
