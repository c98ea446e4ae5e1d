"""A budget is kept: by a cap on each answer, by what is set aside for requests under way, by a cut in the middle."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx
import pytest

from tasks.agents.gateway import Budget, Gateway, GatewayError, Prices
from tasks.agents.scripted import Fault, Script, ScriptedModel, Turn
from tests.tasks.agents.gateway.raw import RawProvider, streams
from tests.tasks.agents.gateway.wire import SHAPES, Wire, allowed, noted, wired

LONG = "so it goes on and on, " * 3000
"""16,500 tokens of the scripted model."""


@pytest.mark.parametrize("shape", SHAPES)
def test_the_last_answer_is_capped_and_the_next_request_is_refused(shape: str) -> None:
    with (
        ScriptedModel([Script(turns=(Turn(say=LONG),))]) as model,
        wired([allowed(shape, model.url, prices=Prices(input=3e-6, output=15e-6))], Budget(usd=0.05)) as wire,
    ):
        more = {"max_tokens": 50_000} if shape == "messages" else {}
        if shape == "gemini":
            more = {"generationConfig": {"temperature": 0}}  # type: ignore[dict-item]
        assert wire.ask(shape, stream=True, **more).status_code == 200
        (seen,) = noted(model, 1)
        assert "temperature" in str(seen.body) or shape != "gemini"
        assert 0.045 < wire.gateway.usage.cost_usd <= 0.0505
        assert wire.gateway.ended is None  # the agent has what it asked for, and may be through
        refused = wire.ask(shape, **more)
        assert refused.status_code == (400 if shape == "responses" else 403)
        assert "the attempt is over: budget: 0.0" in refused.json()["error"]["message"]
        assert (wire.gateway.ended or "").endswith("of 0.05 USD are spent, the rest is too little for an answer")
        assert len(model.requests_seen) == 1


@pytest.mark.parametrize(
    ("budget", "made", "reason"),
    [
        (Budget(requests=2), 2, "budget: 2 of 2 requests are used"),
        (Budget(tokens=1000), 2, "of 1000 tokens are used, the rest is too little"),
        (Budget(usd=0), 0, "budget: 0.0000 of 0 USD are spent"),
    ],
)
def test_requests_tokens_and_dollars_end(budget: Budget, made: int, reason: str) -> None:
    with (
        ScriptedModel([Script(turns=(Turn(say="x" * 1600),))]) as model,
        wired([allowed("chat", model.url)], budget) as wire,
    ):
        said = [wire.ask("chat", max_tokens=450).status_code for _ in range(4)]
        assert said == [200] * made + [403] * (4 - made)
        assert reason in str(wire.gateway.ended)
        assert wire.gateway.usage.requests == made


def test_small_answers_are_not_capped_and_their_bodies_stay() -> None:
    with (
        ScriptedModel([Script(turns=(Turn(say="x"),))]) as model,
        wired([allowed("messages", model.url)], Budget(usd=5, tokens=100_000, requests=9)) as wire,
    ):
        wire.ask("messages", max_tokens=1)
        assert noted(model, 1)[0].body["max_tokens"] == 1


def test_a_model_that_thinks_is_not_asked_for_less_than_its_thoughts() -> None:
    thinking = {"type": "enabled", "budget_tokens": 4000}
    with (
        ScriptedModel([Script(turns=(Turn(say="x"),))]) as model,
        wired([allowed("messages", model.url)], Budget(tokens=3000)) as wire,
    ):
        assert wire.ask("messages", thinking=thinking, max_tokens=8000).status_code == 403
        assert wire.gateway.ended is not None


def test_requests_at_once_do_not_spend_the_same_rest() -> None:
    """Each may cost 0.0075 USD and costs half of that: two fit at once, further ones wait for what they leave."""
    turn = Turn(say="x" * 1000, pause_s=0.05)
    with (
        ScriptedModel([Script(turns=(turn,))]) as model,
        wired([allowed("chat", model.url)], Budget(usd=0.02)) as wire,
    ):
        said: list[int] = []

        def work(wire: Wire) -> None:
            said.append(wire.ask("chat", max_tokens=450).status_code)

        threads = [threading.Thread(target=work, args=(wire,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said.count(200) >= 4
        assert wire.gateway.usage.cost_usd <= 0.0202
        assert wire.gateway.usage.requests == said.count(200)


def test_a_provider_that_knows_no_cap_is_cut_in_the_middle() -> None:
    piece = b"data: " + json.dumps({"choices": [{"delta": {"content": "word " * 200}}]}).encode() + b"\n\n"

    def goes_on(connection: socket.socket) -> None:
        connection.sendall(streams())
        for _ in range(1000):
            connection.sendall(piece)
            time.sleep(0.002)

    with RawProvider(goes_on) as provider, wired([allowed("chat", provider.url)], Budget(tokens=3000)) as wire:
        with pytest.raises(httpx.RemoteProtocolError):
            wire.ask("chat", stream=True)
        assert "was cut" in str(wire.gateway.ended)
        usage = wire.gateway.usage
        assert (usage.requests, usage.estimated_requests) == (1, 1)
        assert 3000 < usage.tokens_out < 8000
        assert wire.ask("chat").status_code == 403


def test_what_failed_costs_nothing_of_the_budget() -> None:
    turn = Turn(say="x", faults=(Fault(status=500, times=5),))
    with (
        ScriptedModel([Script(turns=(turn,))]) as model,
        wired([allowed("messages", model.url)], Budget(requests=1)) as wire,
    ):
        assert [wire.ask("messages").status_code for _ in range(7)] == [500] * 5 + [200, 403]


def test_dollars_want_a_price() -> None:
    model = allowed("chat", "http://127.0.0.1:1", asked="mine", upstream="mine", prices=None)
    with pytest.raises(GatewayError, match="mine has no known price"):
        Gateway([model], Budget(usd=1))
    Gateway([model], Budget(tokens=1))
    Gateway([model.model_copy(update={"prices": Prices(input=0, output=0)})], Budget(usd=1))
