"""A loopback server that speaks enough of GitHub's API."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "secret-token"


class FakeHub:
    """Paths with their documents; `refusals` are given first, one per request."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.version = '"v1"'
        self.refusals: list[tuple[int, dict[str, str], str]] = []
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.asked.append(request.path)
        status, headers, body = 200, {"ETag": self.version}, ""
        if self.refusals:
            status, headers, body = self.refusals.pop(0)
        elif TOKEN not in (request.headers["Authorization"] or ""):
            status, body = 401, '{"message": "Bad credentials"}'
        elif parts.path not in self.documents:
            status, body = 404, '{"message": "Not Found"}'
        elif request.headers["If-None-Match"] == self.version:
            status = 304
        else:
            found = self.documents[parts.path]
            if isinstance(found, list):
                query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
                start = (query["page"] - 1) * query["per_page"]
                found = found[start : start + query["per_page"]]
            body = found if isinstance(found, str) else json.dumps(found)
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body.encode())
