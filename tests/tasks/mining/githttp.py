"""A loopback server that gives repositories over smart HTTP: git's own program behind Python's HTTP server."""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = 2048


class GitHttp:
    """Serves what lies under `root`. Requests that fetch objects are counted from 0, whatever else is asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refuse: int | None = None
        """Status with which every request is answered."""
        self.refuse_fetch: dict[int, int] = {}
        """Number of a fetch -> status with which it is answered."""
        self.after: dict[int, int] = {}
        """Number of a fetch -> bytes of its answer after which the connection is cut."""
        self.password: str | None = None
        """Needed by everybody, if it is set."""
        self.seen: list[str] = []
        """Passwords that were tried; empty for none."""
        self.sent: list[int] = []
        """Bytes of the answer to each fetch."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request, by `git http-backend`."""
        body = request.rfile.read(int(request.headers["Content-Length"] or 0))
        if request.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        limit = 1 << 40
        status = self.refuse or (401 if not self._is_known(request) else None)
        number = None
        if status is None and b"command=fetch" in body:
            number = len(self.sent)
            self.sent.append(0)
            limit, status = self.after.get(number, limit), self.refuse_fetch.get(number)
        if status is not None:
            request.send_response(status)
            if status == 401:
                request.send_header("WWW-Authenticate", 'Basic realm="git"')
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        head, _, content = self._backend(request, body).partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        request.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in {**fields, "Content-Length": str(len(content))}.items():
            request.send_header(name, value)
        request.end_headers()
        with contextlib.suppress(OSError):
            request.wfile.write(content[:limit])
        if number is not None:
            self.sent[number] = min(limit, len(content))
        request.close_connection = True

    def _is_known(self, request: BaseHTTPRequestHandler) -> bool:
        said = (request.headers["Authorization"] or "").removeprefix("Basic ")
        self.seen.append(base64.b64decode(said).decode().rpartition(":")[2])
        return self.password in (None, self.seen[-1])

    def _backend(self, request: BaseHTTPRequestHandler, body: bytes) -> bytes:
        path, _, query = request.path.partition("?")
        variables = {
            **os.environ, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": request.command, "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": request.headers["Content-Type"] or "", "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": request.headers["Git-Protocol"] or "",
        }  # fmt: skip
        return subprocess.run(
            ["git", "http-backend"], input=body, env=variables, capture_output=True, check=True
        ).stdout
