"""A gateway in front of a server on this machine, and requests as agents' clients send them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from tasks.agents.gateway import AllowedModel, Budget, Gateway, Prices, Provider
from tasks.agents.gateway.models import Protocol
from tasks.agents.scripted import ScriptedModel, Seen

KEY = "sk-real-0123456789abcdef"
PRICES = Prices(input=3e-6, output=15e-6, cache_read=3e-7, cache_write=3.75e-6, reasoning=20e-6)
TASK = "Make the search faster."
PATHS = {
    "messages": "/v1/messages",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/m:generateContent",
}
PROTOCOLS: dict[str, Protocol] = {
    "messages": "anthropic", "chat": "openai", "responses": "openai", "gemini": "gemini",
}  # fmt: skip
SHAPES = tuple(PATHS)


def allowed(shape: str, url: str, **more: Any) -> AllowedModel:
    """Model `m`, which is answered at `url` in the protocol that has this shape."""
    provider = Provider(protocol=PROTOCOLS[shape], base_url=url, api_key=SecretStr(KEY))
    return AllowedModel(**{"asked": "m", "upstream": "m", "provider": provider, "prices": PRICES, **more})


def body(shape: str, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A request that offers a tool."""
    schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    said: dict[str, Any]
    if shape == "messages":
        said = {"model": "m", "max_tokens": 500, "messages": [{"role": "user", "content": TASK}],
                "tools": [{"name": "Bash", "input_schema": schema}]}  # fmt: skip
    elif shape == "chat":
        said = {"model": "m", "messages": [{"role": "user", "content": TASK}],
                "tools": [{"type": "function", "function": {"name": "bash", "parameters": schema}}]}  # fmt: skip
    elif shape == "responses":
        said = {"model": "m", "input": [{"role": "user", "content": TASK}],
                "tools": [{"type": "function", "name": "bash", "parameters": schema}]}  # fmt: skip
    else:
        said = {"contents": [{"role": "user", "parts": [{"text": TASK}]}],
                "tools": [{"functionDeclarations": [{"name": "bash", "parameters": schema}]}]}  # fmt: skip
    if stream and shape != "gemini":
        said["stream"] = True
    return {**said, **more}


def path(shape: str, stream: bool = False) -> str:
    """Where such a request goes."""
    if shape == "gemini" and stream:
        return "/v1beta/models/m:streamGenerateContent?alt=sse&key=dummy"
    return PATHS[shape]


@dataclass
class Wire:
    """A gateway, and a client that speaks to its socket."""

    gateway: Gateway
    client: httpx.Client

    def ask(self, shape: str, stream: bool = False, **more: Any) -> httpx.Response:
        """Send a request and wait for its whole answer."""
        headers = {"anthropic-version": "2023-06-01", "x-api-key": "dummy", "authorization": "Bearer dummy"}
        return self.client.post(path(shape, stream), json=body(shape, stream, **more), headers=headers)


@contextmanager
def wired(models: Sequence[AllowedModel], budget: Budget | None = None, **more: Any) -> Iterator[Wire]:
    """A gateway with a client."""
    with (
        Gateway(models, budget or Budget(), **more) as gateway,
        httpx.Client(
            transport=httpx.HTTPTransport(verify=False, uds=str(gateway.socket)),
            base_url="http://127.0.0.1:8931",
            timeout=10,
        ) as client,
    ):
        yield Wire(gateway, client)


def events(response: httpx.Response) -> list[Any]:
    """What a stream said, event by event."""
    found = [line[5:].strip() for line in response.text.splitlines() if line.startswith("data:")]
    return [json.loads(item) for item in found if item != "[DONE]"]


def noted(model: ScriptedModel, requests: int) -> list[Seen]:
    """What the scripted model saw, once it is so many requests: it notes one when it has sent its answer."""
    deadline = time.monotonic() + 10
    while len(model.requests_seen) < requests and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(model.requests_seen) == requests
    return model.requests_seen
