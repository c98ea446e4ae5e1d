"""Providers of another protocol, by litellm's translation: every shape for every protocol, with exact counts."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tasks.agents.gateway import AllowedModel, Budget, Provider
from tasks.agents.scripted import Fault, Script, ScriptedModel, Turn
from tasks.agents.scripted.script import Usage as Tokens
from tests.tasks.agents.gateway.wire import KEY, PRICES, PROTOCOLS, SHAPES, Wire, events, noted, wired

TURN = Turn(say="I look at it first.", run="ls -l", usage=Tokens(input=5000, cache_read=4000, output=321))


def by(shape: str, translate: str, url: str) -> AllowedModel:
    base = {"openai": f"{url}/v1", "gemini": f"{url}/v1beta"}.get(translate, url)
    provider = Provider(protocol=PROTOCOLS[shape], base_url=base, api_key=SecretStr(KEY), translate=translate)
    return AllowedModel(asked="m", upstream="other", provider=provider, prices=PRICES)


def ask(wire: Wire, shape: str, stream: bool = False, **more: Any) -> httpx.Response:
    wire.client.timeout = httpx.Timeout(60)  # litellm's import
    return wire.ask(shape, stream, **more)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("translate", "protocol"), [("anthropic", "anthropic"), ("openai", "openai-chat"), ("gemini", "gemini")]
)
def test_every_shape_for_every_protocol(shape: str, stream: bool, translate: str, protocol: str) -> None:
    with ScriptedModel([Script(turns=(TURN,), side=None)]) as model, wired([by(shape, translate, model.url)]) as wire:
        answer = ask(wire, shape, stream)
        assert answer.status_code == 200, answer.text
        (seen,) = noted(model, 1)
        assert (seen.protocol, seen.model) == (protocol, "other")
        assert KEY in str(seen.headers)
        usage = wire.gateway.usage
        assert (usage.tokens_in, usage.cache_read, usage.tokens_out) == (5000, 4000, 321)
        assert usage.cost_usd == pytest.approx(1000 * 3e-6 + 4000 * 3e-7 + 321 * 15e-6)
        said = json.dumps(events(answer) if stream else answer.json())
        assert "ls -l" in said.replace("\\", "")
        assert KEY not in answer.text
        assert wire.gateway.faults == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_keeps_its_status_and_is_not_tried_again(shape: str, stream: bool) -> None:
    turn = TURN.model_copy(update={"faults": (Fault(status=429),)})
    with ScriptedModel([Script(turns=(turn,))]) as model, wired([by(shape, "openai", model.url)]) as wire:
        answer = ask(wire, shape, stream)
        assert answer.status_code == 429
        assert "error" in answer.json()
        assert "Traceback" not in answer.text
        assert len(noted(model, 1)) == 1
        assert [fault.kind for fault in wire.gateway.faults] == ["rate_limited"]


def test_an_agent_cannot_tell_litellm_where_to_go() -> None:
    """Members of a request that are litellm's own settings: the key would go to wherever the agent likes."""
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.listen()
        elsewhere.settimeout(0.2)
        place = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        more = dict.fromkeys(("api_base", "base_url", "azure_endpoint"), place)
        more |= {"custom_llm_provider": "anthropic", "api_key": "mine", "mock_response": "hello"}
        for shape in SHAPES:
            with ScriptedModel([Script(turns=(TURN,))]) as model, wired([by(shape, "openai", model.url)]) as wire:
                assert ask(wire, shape, **more).status_code == 200
                (seen,) = noted(model, 1)
                assert seen.headers["authorization"] == f"Bearer {KEY}"
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_a_cap_passes_and_a_cut_stream_is_counted() -> None:
    turn = Turn(say="word " * 5000, faults=(Fault(cut=True),), pause_s=0.002)
    with (
        ScriptedModel([Script(turns=(turn,))]) as model,
        wired([by("messages", "openai", model.url)], Budget(tokens=2000)) as wire,
    ):
        ask(wire, "messages", stream=True, max_tokens=9000)
        (seen,) = noted(model, 1)
        limit = seen.body.get("max_tokens") or seen.body.get("max_completion_tokens")
        assert 1500 < limit < 2000
        assert (wire.gateway.usage.requests, wire.gateway.usage.estimated_requests) == (1, 1)
        assert 100 < wire.gateway.usage.tokens_out < 2000
        assert len(wire.gateway.faults) == 1


def test_counting_beforehand_is_not_there() -> None:
    with wired([by("messages", "openai", "http://127.0.0.1:9")]) as wire:
        refused = wire.client.post("/v1/messages/count_tokens", json={"model": "m", "messages": []})
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
