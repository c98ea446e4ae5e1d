"""A provider that answers with bytes of a test's choice, and keeps the bytes that it was sent."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable

Reply = bytes | Callable[[socket.socket], None]


class RawProvider:
    """Answers each request with the next reply and closes; the last one goes on for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[bytes] = []
        lock = threading.Lock()

        class Handler(socketserver.BaseRequestHandler):
            def handle(handler) -> None:
                data = b""
                while b"\r\n\r\n" not in data and (more := handler.request.recv(65536)):
                    data += more
                head, _, got = data.partition(b"\r\n\r\n")
                length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                while length and len(got) < int(length[0].split(b":")[1]):
                    got += handler.request.recv(65536)
                with lock:
                    self.requests.append(head + b"\r\n\r\n" + got)
                    reply = replies[min(len(self.requests), len(replies)) - 1]
                with contextlib.suppress(OSError):
                    handler.request.sendall(reply) if isinstance(reply, bytes) else reply(handler.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> RawProvider:
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def body(self, number: int = -1) -> bytes:
        """The body of a request."""
        return self.requests[number].split(b"\r\n\r\n", 1)[1]

    def headers(self, number: int = -1) -> dict[str, str]:
        """Its headers, names in small letters."""
        lines = self.requests[number].split(b"\r\n\r\n", 1)[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def says(body: bytes, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    """An answer in one piece."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def streams(*pieces: bytes, more: str = "") -> bytes:
    """Events until the connection closes."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{more}\r\n".encode() + b"".join(pieces)
