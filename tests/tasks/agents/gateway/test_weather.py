"""Bad weather: providers that fail in every way, and agents that do."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tasks.agents.gateway import Budget, Usage, doorway
from tasks.agents.scripted import Fault, Script, ScriptedModel, Turn
from tests.tasks.agents.gateway.raw import RawProvider, Reply, says, streams
from tests.tasks.agents.gateway.wire import SHAPES, Wire, allowed, body, noted, wired

GOOD = says(json.dumps({"type": "message", "usage": {"input_tokens": 10, "output_tokens": 5}}).encode())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limited"), (500, "server_error"), (529, "overloaded")])
def test_a_providers_error_passes_as_it_is_and_is_not_tried_again(shape: str, status: int, kind: str) -> None:
    turn = Turn(say="x", faults=(Fault(status=status),))
    with ScriptedModel([Script(turns=(turn,))]) as model, wired([allowed(shape, model.url)]) as wire:
        assert wire.ask(shape).status_code == status
        assert [seen.status for seen in noted(model, 1)] == [status]
        assert [(fault.kind, fault.status) for fault in wire.gateway.faults] == [(kind, status)]
        assert wire.ask(shape).status_code == 200


def test_429_for_a_while_is_counted_and_over_when_it_is_over() -> None:
    turn = Turn(say="x", faults=(Fault(status=429, for_s=0.3),))
    with ScriptedModel([Script(turns=(turn,))]) as model, wired([allowed("chat", model.url)]) as wire:
        deadline = time.monotonic() + 20
        while wire.ask("chat").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        (fault,) = wire.gateway.faults
        assert (fault.kind, wire.gateway.usage.requests, wire.gateway.unanswered) == ("rate_limited", 1, 0)
        assert fault.count == len(model.requests_seen) - 1 >= 2
        assert fault.first < fault.last


@pytest.mark.parametrize(
    ("reply", "status", "kind"),
    [
        (says(b"<html>It works!</html>", kind="text/html"), 200, "nonsense"),
        (streams(b"data: what?\n\n", b"\x00\xff" * 1000), 200, "nonsense"),
        (says(b"{}", "302 Found", more="Location: http://127.0.0.1:9/v1/messages\r\n"), 502, "redirected"),
        (b"220 mail.example ESMTP\r\n\r\n", 502, "nonsense"),
        (b"", 502, "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{", 0, "cut"),
        (streams(b'data: {"type":"error","error":{"type":"overloaded_error"}}\n\n'), 200, "overloaded"),
    ],
)
def test_what_is_no_answer(reply: Reply, status: int, kind: str) -> None:
    with RawProvider(reply, GOOD) as provider, wired([allowed("messages", provider.url)]) as wire:
        if status:
            assert wire.ask("messages").status_code == status
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                wire.ask("messages")
        assert [fault.kind for fault in wire.gateway.faults] == [kind]
        assert (wire.gateway.unanswered, wire.gateway.last_ok) == (1, None)
        assert wire.ask("messages").status_code == 200
        assert wire.gateway.last_ok is not None
        assert wire.gateway.usage.tokens_out in (5, 6)
        assert len(provider.requests) == 2  # nothing was tried again, and no redirect followed


def test_a_provider_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        with wired([allowed("gemini", f"http://127.0.0.1:{taken.getsockname()[1]}")]) as wire:
            answer = wire.ask("gemini")
            assert (answer.status_code, answer.json()["error"]["status"]) == (502, "UNAVAILABLE")
            assert [fault.kind for fault in wire.gateway.faults] == ["unreachable"]
            assert wire.gateway.usage == Usage()


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_hangs(stream: bool) -> None:
    started = b'data: {"type":"message_start","message":{"usage":{"input_tokens":70,"output_tokens":1}}}\n\n'

    def hangs(connection: socket.socket) -> None:
        connection.sendall(streams(started) if stream else b"")
        ending.wait(20)

    ending = threading.Event()
    with RawProvider(hangs) as provider, wired([allowed("messages", provider.url)], silence_s=0.3) as wire:
        if stream:
            with pytest.raises(httpx.RemoteProtocolError):
                wire.ask("messages", stream=True)
            assert (wire.gateway.usage.tokens_in, wire.gateway.usage.estimated_requests) == (70, 1)
        else:
            answer = wire.ask("messages")
            assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")
            assert wire.gateway.usage == Usage()
        assert [fault.kind for fault in wire.gateway.faults] == ["hang"]
        ending.set()


def test_an_agent_that_leaves_ends_the_providers_work_and_is_counted() -> None:
    turn = Turn(say="word " * 4000, pause_s=0.01)
    with ScriptedModel([Script(turns=(turn,))]) as model, wired([allowed("messages", model.url)]) as wire:
        with wire.client.stream("POST", "/v1/messages", json=body("messages", True, max_tokens=9000)) as response:
            for _ in zip(range(5), response.iter_raw(), strict=False):
                pass
        (seen,) = noted(model, 1)
        assert seen.ended == "left"
        wait_for(lambda: wire.gateway.usage.requests == 1)
        assert seen.billed is not None
        assert (wire.gateway.usage.tokens_in, wire.gateway.usage.estimated_requests) == (seen.billed.input, 1)
        assert [fault.kind for fault in wire.gateway.faults] == ["agent_left"]
        assert wire.gateway.unanswered == 0


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def door() -> Iterator[Wire]:
    with RawProvider(GOOD) as provider, wired([allowed("messages", provider.url)]) as wire:
        wire.provider = provider  # type: ignore[attr-defined]
        yield wire


@contextlib.contextmanager
def knock(wire: Wire) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(wire.gateway.socket))
        connection.settimeout(10)
        yield connection


def said(wire: Wire, data: bytes, until: bytes = b"") -> bytes:
    """What comes back for these bytes, until the connection ends or this comes."""
    with knock(wire) as connection:
        connection.sendall(data)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while (not until or until not in found) and (more := connection.recv(65536)):
                found += more
        return found


POST = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SMALL = json.dumps(body("messages")).encode()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/1.1", 200),
        (b"HEAD / HTTP/1.1", 200),
        (b"GET /v1/models HTTP/1.1", 200),
        (b"GET /v1/files HTTP/1.1", 404),
        (b"POST /v1/messages/batches HTTP/1.1", 404),
        (b"POST /v1/messages/../files HTTP/1.1", 404),
        (b"POST /v1/messages%2f..%2ffiles HTTP/1.1", 404),
        (b"POST /v1beta/models/m:generateContent/../../files HTTP/1.1", 404),
        (b"POST /v1beta/models/m%3fx:generateContent HTTP/1.1", 404),
        (b"DELETE /v1/messages HTTP/1.1", 404),
        (b"GET http://169.254.169.254/latest/meta-data HTTP/1.1", 403),
        (b"POST http://api.anthropic.com/v1/messages HTTP/1.1", 403),
        (b"POST //example.org/v1/messages HTTP/1.1", 403),
        (b"OPTIONS * HTTP/1.1", 403),
        (b"CONNECT example.org:443 HTTP/1.1", 403),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1", 403),
        (b"CONNECT example.org:99999999999 HTTP/1.1", 403),
        (b"CONNECT / HTTP/1.1", 403),
        (b"GET / HTTP/3.9", 400),
        (b"GARBAGE", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 400),
        (b"GET / HTTP/1.1" + b"\r\nX: a" * 500, 400),
        (b"GET /v1/responses HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", 426),
    ],
)
def test_what_an_agent_may_ask(door: Wire, line: bytes, status: int) -> None:
    answer = said(door, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert int(answer.split(b" ", 2)[1]) == status
    assert door.provider.requests == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (len(SMALL), SMALL),
        b"Content-Length: %d\r\nContent-Length: 5\r\n\r\n%b" % (len(SMALL), SMALL),
        b"Content-Length : %d\r\n\r\n%b" % (len(SMALL), SMALL),
        b"Content-Length: +%d\r\n\r\n%b" % (len(SMALL), SMALL),
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"A: b\r\n c: d\r\nContent-Length: 0\r\n\r\n",
        b"A\x00: b\r\nContent-Length: 0\r\n\r\n",
        b"A: b\nContent-Length: 0\r\nX\r\n\r\n",
    ],
)
def test_a_request_that_hides_another_reaches_nobody(door: Wire, sent: bytes) -> None:
    hidden = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    answer = said(door, POST + sent + hidden, until=b"\r\n\r\n")
    assert answer.split(b" ", 2)[1] == b"400"
    assert door.provider.requests == []  # type: ignore[attr-defined]


def test_requests_in_a_row_are_answered_in_a_row() -> None:
    answers = [says(b'{"usage":{"input_tokens":1,"output_tokens":1},"n":%d}' % number) for number in range(3)]
    with RawProvider(*answers) as provider, wired([allowed("messages", provider.url)]) as wire:
        one = POST + b"Content-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL)
        last = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL)
        answer = said(wire, one + one + last)
        places = [answer.index(b'"n":%d' % number) for number in range(3)]
        assert places == sorted(places)
        assert wire.gateway.usage.requests == 3


def test_who_asks_first_whether_to_send_its_body_is_told_to() -> None:
    with RawProvider(GOOD) as provider, wired([allowed("messages", provider.url)]) as wire, knock(wire) as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMALL))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(SMALL)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert "expect" not in provider.headers()


def test_a_huge_request_is_refused_before_it_is_held(door: Wire) -> None:
    answer = said(door, POST + b"Content-Length: 99999999999\r\n\r\n" + SMALL, until=b"}}")
    assert answer.split(b" ", 2)[1] == b"413"
    assert b"request_too_large" in answer


def test_who_dribbles_or_says_nothing_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorway, "FIRST_LINE_S", 0.2)
    monkeypatch.setattr("tasks.agents.gateway.handling.BODY_S", 0.3)
    with (
        RawProvider(GOOD) as provider,
        wired([allowed("messages", provider.url)]) as wire,
        contextlib.ExitStack() as held,
    ):
        silent, dribbling = held.enter_context(knock(wire)), held.enter_context(knock(wire))
        dribbling.sendall(POST + b"Content-Length: 500\r\n\r\n{")
        assert wire.ask("messages").status_code == 200
        assert silent.recv(10) == b""
        assert b"did not come within" in dribbling.recv(65536)


def test_very_many_connections_are_few_at_once() -> None:
    with RawProvider(GOOD) as provider, wired([allowed("messages", provider.url)]) as wire:
        with contextlib.ExitStack() as held:
            found = [held.enter_context(knock(wire)) for _ in range(doorway.MOST_CONNECTIONS + 40)]
            ended = 0
            for connection in found[-40:]:
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(1) == b""
                ended += 1
            assert ended == 40
        wait_for(lambda: answers(wire))
        assert wire.gateway.usage.requests >= 1


def answers(wire: Wire) -> bool:
    try:
        return wire.ask("messages").status_code == 200
    except httpx.TransportError:
        return False


def test_a_host_that_is_allowed_is_reached_by_its_name_and_port_alone() -> None:
    with RawProvider(says(b"hello")) as provider:
        port = int(provider.url.rsplit(":", 1)[1])
        with wired([allowed("messages", provider.url)], extra_hosts=[f"LocalHost:{port}", "example.org"]) as wire:
            asked = b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: y\r\n\r\n" % port
            answer = said(wire, asked)
            assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK")
            assert provider.requests == [b"GET /a HTTP/1.1\r\nHost: y\r\n\r\n"]
            for other in (b"127.0.0.1:%d" % port, b"localhost:%d" % (port + 1), b"example.org:80", b"xexample.org:443"):
                assert said(wire, b"CONNECT %b HTTP/1.1\r\n\r\n" % other).startswith(b"HTTP/1.1 403 ")
            assert wire.gateway.refused[-1] == "xexample.org:443"


def test_a_gateway_ends_while_all_are_at_it() -> None:
    def begins(connection: socket.socket) -> None:
        connection.sendall(streams(b'data: {"choices":[{"delta":{"content":"first words"}}]}\n\n'))
        ending.wait(20)

    ending = threading.Event()
    with (
        RawProvider(begins) as provider,
        wired([allowed("chat", provider.url)], Budget(tokens=1_000_000)) as wire,
        contextlib.ExitStack() as held,
    ):
        for _ in range(5):
            asking = wire.client.stream("POST", "/v1/chat/completions", json=body("chat", stream=True))
            assert b"first words" in next(held.enter_context(asking).iter_raw())
        folder = wire.gateway.socket.parent
        wire.gateway.__exit__()
        assert wire.gateway.usage.estimated_requests == wire.gateway.usage.requests == 5
        assert not folder.exists()
        ending.set()


def test_a_gateway_ends_while_nobody_answers() -> None:
    ending = threading.Event()
    with RawProvider(lambda _: ending.wait(20) and None) as provider:
        with wired([allowed("chat", provider.url)]) as wire, knock(wire) as connection:
            connection.sendall(POST.replace(b"/messages", b"/chat/completions"))
            connection.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT))
            wait_for(lambda: provider.requests)
            wire.gateway.__exit__()
            assert connection.recv(1) == b""
        ending.set()


CHAT = json.dumps(body("chat")).encode()


def test_where_the_socket_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For whoever is in a sandbox, whatever the umask; for nobody else on this machine; in reach of the kernel."""
    deep = tmp_path / ("long" * 20) / ("name" * 10)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    before = os.umask(0o077)
    try:
        with wired([allowed("messages", "http://127.0.0.1:9")]) as wire:
            place = wire.gateway.socket
            assert wire.client.get("/").status_code == 200
            assert [stat.S_IMODE(path.stat().st_mode) for path in (place, place.parent, place.parent.parent)] == [
                0o666, 0o755, 0o700,
            ]  # fmt: skip
            assert list(place.parent.iterdir()) == [place]
    finally:
        os.umask(before)
    assert not place.parent.parent.exists()


def test_a_gateway_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "door").write_text("")
    monkeypatch.setattr("tasks.agents.gateway.server._short_folder", lambda: tmp_path)
    with pytest.raises(FileExistsError), wired([allowed("messages", "http://127.0.0.1:9")]):
        pass
