"""A server on this machine that speaks the protocols of OpenAI and Anthropic, with faults."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = json.dumps({"name": "blue", "warm": False})
Reaction = Callable[[BaseHTTPRequestHandler], None]


class ChatServer:
    """Answers requests with the reactions in its script, in order; the last one goes on for ever."""

    def __init__(self) -> None:
        self.script: list[Reaction] = [says(GOOD)]
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.body = body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer.lock:
                    react = outer.script[min(len(outer.requests), len(outer.script) - 1)]
                    outer.requests.append(body)
                react(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Base URL for OpenAI's protocol; `root` is the one for Anthropic's."""
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def says(text: str | None, finish: str = "stop", **message: Any) -> Reaction:
    reply = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "loopback",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    return sends(200, json.dumps(reply))


def sends(status: int, text: str, **headers: str) -> Reaction:
    def react(handler: BaseHTTPRequestHandler) -> None:
        data = text.encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return react


def resets(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def error(status: int, message: str, **headers: str) -> Reaction:
    return sends(status, json.dumps({"error": {"message": message, "type": "fault"}}), **headers)


def says_claude(text: str | None, stop: str = "end_turn", tool: str | None = None) -> Reaction:
    """A message of Anthropic's API; with `tool`, the text is the JSON input of a call of that tool."""
    block: dict[str, Any] = {"type": "text", "text": text}
    if tool is not None and text is not None:
        block = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": json.loads(text)}
    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [block] if text is not None else [],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100},
    }
    return sends(200, json.dumps(reply))


def claude_error(status: int, kind: str, message: str, **headers: str) -> Reaction:
    return sends(status, json.dumps({"type": "error", "error": {"type": kind, "message": message}}), **headers)


def sleeps(seconds: float) -> Reaction:
    def react(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return react


def dribbles(seconds: float) -> Reaction:
    """Sends an answer byte by byte, without a long pause, and takes that long."""

    def react(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", "10000")
        handler.end_headers()
        try:
            for _ in range(int(seconds / 0.02)):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass
        handler.close_connection = True

    return react
