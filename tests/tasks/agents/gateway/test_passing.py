"""What passes: bytes as they are, but for keys, counts, the cap; nothing that an agent says of keys or hosts."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tasks.agents.gateway import Budget
from tests.tasks.agents.gateway.raw import RawProvider, says, streams
from tests.tasks.agents.gateway.wire import KEY, PATHS, SHAPES, Wire, allowed, body, wired

ANSWER = json.dumps({"type": "message", "usage": {"input_tokens": 10, "output_tokens": 5}}).encode()
CHAT = json.dumps({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}).encode()
ODD = (
    b'{ "model":"m" ,\n\t"max_tokens": 5e2,"messages":[{"role":"user","content":"\\u00e9\\/ \\ud83d\\ude00 \xc3\xa9"}],'
    b'"temperature":1.0,"metadata":{"a":1.50,"b":[ ]} }\n'
)


def test_a_body_passes_byte_for_byte() -> None:
    with RawProvider(says(ANSWER)) as provider, wired([allowed("messages", provider.url)]) as wire:
        answer = wire.client.post("/v1/messages?beta=true", content=ODD, headers={"content-type": "application/json"})
        assert answer.content == ANSWER
        assert provider.body() == ODD
        assert provider.requests[0].startswith(b"POST /v1/messages?beta=true HTTP/1.1\r\n")


def test_only_what_is_said_to_change_changes() -> None:
    with RawProvider(says(CHAT)) as provider:
        models = [allowed("chat", provider.url, upstream="the/real-one")]
        with wired(models, Budget(tokens=2000)) as wire:
            sent = b'{"stream":true, "model" : "m", "max_completion_tokens":90000,"messages":[{"content":"\\u00e9"}]}'
            wire.client.post("/v1/chat/completions", content=sent)
            got = provider.body()
            cap = json.loads(got)["max_completion_tokens"]
            assert 1000 < cap < 2000
            assert got == (
                b'{"stream":true, "model" : "the/real-one", "max_completion_tokens":%d,'
                b'"messages":[{"content":"\\u00e9"}],"stream_options":{"include_usage": true}}' % cap
            )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_key_is_added_outside_and_the_agents_own_stay_inside(shape: str) -> None:
    with RawProvider(says(ANSWER)) as provider, wired([allowed(shape, provider.url)]) as wire:
        wire.client.post(
            PATHS[shape] + "?key=dummy-1&alt=json&access_token=dummy-2", json=body(shape),
            headers={
                "authorization": "Bearer dummy-3", "x-api-key": "dummy-4", "x-goog-api-key": "dummy-5",
                "cookie": "dummy-6", "proxy-authorization": "dummy-7", "openai-organization": "dummy-8",
                "connection": "x-hop, keep-alive", "x-hop": "dummy-9", "accept-encoding": "br",
                "anthropic-beta": "context-1m", "user-agent": "agent/1", "x-forwarded-for": "dummy-0",
            },
        )  # fmt: skip
        (sent,) = provider.requests
        assert b"dummy" not in sent
        assert sent.count(KEY.encode()) == 1
        headers = provider.headers()
        names = {"messages": "x-api-key", "gemini": "x-goog-api-key"}
        assert headers[names.get(shape, "authorization")].removeprefix("Bearer ") == KEY
        assert (headers["anthropic-beta"], headers["user-agent"]) == ("context-1m", "agent/1")
        assert headers["accept-encoding"] == "identity"
        assert b"?alt=json HTTP/1.1" in sent


def test_a_key_that_a_provider_repeats_is_taken_out_also_in_pieces() -> None:
    def slowly(connection: socket.socket) -> None:
        connection.sendall(streams(b"data: {}\n\n", more=f"X-Key: {KEY}\r\nSet-Cookie: a=b\r\n"))
        for piece in (f"data: it is {KEY[:9]}", KEY[9:15], f"{KEY[15:]}.\n\n", f"data: {KEY[:5]} is not", "\n\n"):
            connection.sendall(piece.encode())
            time.sleep(0.02)

    repeats = says(f"Incorrect key {KEY} in {KEY}".encode(), "401 Unauthorized")
    with RawProvider(repeats, slowly) as provider, wired([allowed("messages", provider.url)]) as wire:
        refused = wire.ask("messages")
        assert (refused.status_code, refused.text) == (401, "Incorrect key *** in ***")
        streamed = wire.ask("messages", stream=True)
        assert streamed.text == f"data: {{}}\n\ndata: it is ***.\n\ndata: {KEY[:5]} is not\n\n"
        assert streamed.headers["x-key"] == "***"
        assert "set-cookie" not in streamed.headers
        assert KEY not in repr(wire.gateway.faults)
        assert [fault.kind for fault in wire.gateway.faults] == ["rejected", "nonsense"]


def test_a_stream_streams() -> None:
    """Each event is with the agent before the provider makes the next."""

    def asks_first(connection: socket.socket) -> None:
        connection.sendall(streams(b'data: {"type":"one"}\n\n'))
        assert heard.wait(5)
        connection.sendall(b'data: {"type":"two"}\n\n')

    heard = threading.Event()
    with (
        RawProvider(asks_first) as provider,
        wired([allowed("chat", provider.url)]) as wire,
        wire.client.stream("POST", "/v1/chat/completions", json=body("chat", stream=True)) as response,
    ):
        found = response.iter_raw()
        assert next(found) == b'data: {"type":"one"}\n\n'
        heard.set()
        assert next(found) == b'data: {"type":"two"}\n\n'


def test_the_users_proxy_is_taken_but_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawProvider(says(ANSWER)) as proxy, RawProvider(says(ANSWER)) as near:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        far = allowed("messages", "http://models.example", asked="far")
        with wired([far, allowed("messages", near.url)]) as wire:
            assert wire.ask("messages", model="far").status_code == 200
            assert proxy.requests[0].startswith(b"POST http://models.example/v1/messages HTTP/1.1\r\n")
            assert wire.ask("messages").status_code == 200
            assert (len(proxy.requests), len(near.requests)) == (1, 1)


def test_an_answer_that_is_packed_all_the_same_is_counted() -> None:
    packed = says(gzip.compress(ANSWER), more="Content-Encoding: gzip\r\n")
    with RawProvider(packed) as provider, wired([allowed("messages", provider.url)]) as wire:
        answer = wire.ask("messages")
        assert answer.json() == json.loads(ANSWER)
        assert (wire.gateway.usage.tokens_in, wire.gateway.usage.tokens_out) == (10, 5)


def test_a_packed_request_is_read_and_a_bomb_is_not() -> None:
    with RawProvider(says(ANSWER)) as provider, wired([allowed("messages", provider.url)]) as wire:
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        plain = json.dumps(body("messages")).encode()
        assert wire.client.post("/v1/messages", content=gzip.compress(plain), headers=headers).status_code == 200
        assert provider.body() == plain
        assert "content-encoding" not in provider.headers()
        bomb = gzip.compress(b'{"model":"m","x":"' + b"a" * 34_000_000 + b'"}')
        assert wire.client.post("/v1/messages", content=bomb, headers=headers).status_code == 413


@pytest.mark.parametrize("path", ["/v1/messages", "/messages"])
def test_base_urls_with_and_without_their_version(path: str) -> None:
    with RawProvider(says(ANSWER)) as provider, wired([allowed("messages", provider.url + "/v1/")]) as wire:
        assert wire.client.post(path, json=body("messages")).status_code == 200
        assert provider.requests[0].startswith(b"POST /v1/messages ")


@pytest.fixture(scope="module")
def provider() -> Iterator[RawProvider]:
    with RawProvider(says(ANSWER)) as provider:
        yield provider


@pytest.fixture(scope="module")
def every(provider: RawProvider) -> Iterator[dict[str, Wire]]:
    """A gateway for each shape."""
    with ExitStack() as stack:
        yield {shape: stack.enter_context(wired([allowed(shape, provider.url)])) for shape in SHAPES}


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("messages", {"model": "other"}, 404, "not allowed in this attempt, which has m"),
    ("chat", {"model": None}, 404, "not allowed"),
    ("messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, 403, "web_search_20250305"),
    ("responses", {"tools": [{"type": "web_search"}]}, 400, "run by the provider"),
    ("gemini", {"tools": [{"googleSearch": {}}]}, 403, "googleSearch"),
    ("messages", {"mcp_servers": [{"url": "https://x"}]}, 403, "mcp_servers"),
    ("chat", {"models": ["dear/one", "dear/two"]}, 403, "models"),
    ("chat", {"web_search_options": {"search_context_size": "high"}}, 403, "web_search_options"),
    ("responses", {"background": True}, 400, "background"),
    ("chat", {"service_tier": "priority"}, 403, "service_tier"),
    ("messages", {"speed": "fast"}, 403, "speed"),
    ("gemini", {"model": "models/dear"}, 403, "another model than the path"),
    ("messages", {"Model": "dear"}, 400, "written otherwise"),
    ("chat", {"MAX_TOKENS": 9}, 400, "written otherwise"),
    ("gemini", {"generationConfig": {}, "generation_config": {}}, 400, "two spellings"),
    ("messages", {"messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}]}]}, 403, "fetched by the provider"),
    ("chat", {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]}]}, 403, "fetched by the provider"),
    ("responses", {"input": [{"role": "user", "content": [
        {"type": "input_file", "file_url": "https://x/commit.patch"}]}]}, 400, "fetched by the provider"),
    ("gemini", {"contents": [{"parts": [{"fileData": {"fileUri": "https://x/y"}}]}]}, 403, "fetched by the provider"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "more", "status", "reason"), REFUSED)
def test_what_no_attempt_may_ask(
    every: dict[str, Wire], provider: RawProvider, shape: str, more: dict[str, Any], status: int, reason: str
) -> None:
    answer = every[shape].ask(shape, **more)
    assert (answer.status_code, provider.requests) == (status, [])
    assert reason in answer.json()["error"]["message"]
    if shape == "messages":
        assert answer.json()["type"] == "error"
    assert every[shape].gateway.ended is None
    if status != 400 or shape == "responses":  # not where the body itself is wrong
        assert reason in every[shape].gateway.refused[-1]


@pytest.mark.parametrize(
    "sent",
    [
        b'{"model":"m","model":"dear","messages":[]}', b'{"model":"m","messages":[{"a":1,"a":2}]}', b"[]", b"", b"{",
        b'{"model":"m","messages":[]}{"model":"dear"}', b'\xef\xbb\xbf{"model":"m"}', b'{"model":"m","a":NaN}',
        b'{"model":"\xff"}', b'{"model":"m",}', b'{"model":"m" "b":1}', b"[" * 100_000,
        b'{"model":"m","x":' + b"[" * 90_000,
        b'{"model":"m","x":[' + b"[]," * 1_100_000 + b"[]]}",
        b'{"model":"m","x":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_two_readers_may_read_in_two_ways(every: dict[str, Wire], provider: RawProvider, sent: bytes) -> None:
    answer = every["messages"].client.post("/v1/messages", content=sent)
    assert (answer.status_code, provider.requests) == (400, [])
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_what_tools_of_the_agents_own_are_called_is_its_own_matter() -> None:
    with RawProvider(says(ANSWER)) as provider, wired([allowed("messages", provider.url)]) as wire:
        tools: list[dict[str, Any]] = [
            {"name": "web_search", "input_schema": {}},
            {"type": "bash_20250124", "name": "b"},
        ]
        call = {"type": "tool_use", "id": "1", "name": "web_search", "input": {"source": {"url": "https://x"}}}
        messages = [{"role": "assistant", "content": [call]}]
        assert wire.ask("messages", tools=tools, messages=messages).status_code == 200
        assert len(provider.requests) == 1
