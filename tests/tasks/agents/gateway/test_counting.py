"""Tokens and dollars by the gateway are those that the server counted."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from tasks.agents.gateway import Usage
from tasks.agents.gateway.prices import cost_usd
from tasks.agents.scripted import Billed, Fault, Script, ScriptedModel, Turn
from tasks.agents.scripted.script import Usage as Tokens
from tests.tasks.agents.gateway.raw import RawProvider, says
from tests.tasks.agents.gateway.wire import PRICES, SHAPES, Wire, allowed, events, noted, wired

SAID = "I read the search, and it looks at every line twice; once is enough, so I shall make it so."
CACHED = Tokens(input=5000, cache_read=4000, cache_write=700, output=321, reasoning=99)


def matches(usage: Usage, billed: Billed, shape: str) -> None:
    """The same tokens, as far as the protocol has a field for them, at the price of these."""
    write = billed.cache_write if shape == "messages" else 0
    reasoning = 0 if shape == "messages" else billed.reasoning
    assert (usage.tokens_in, usage.cache_read, usage.cache_write) == (billed.input, billed.cache_read, write)
    assert (usage.tokens_out, usage.reasoning) == (billed.output, reasoning)
    dollars = (
        (billed.input - billed.cache_read - write) * 3e-6 + billed.cache_read * 3e-7 + write * 3.75e-6
        + (billed.output - reasoning) * 15e-6 + reasoning * 20e-6
    )  # fmt: skip
    assert usage.cost_usd == pytest.approx(dollars, rel=1e-9)


def billed_by(model: ScriptedModel, requests: int) -> Billed:
    """What the server billed for all that it was asked."""
    return sum((seen.billed for seen in noted(model, requests) if seen.billed), Billed())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_cache_and_reasoning_are_counted_and_priced(shape: str, stream: bool) -> None:
    script = Script(turns=(Turn(say=SAID, run="cat search.py", usage=CACHED), Turn(finish="Done.")))
    with ScriptedModel([script]) as model, wired([allowed(shape, model.url)]) as wire:
        assert wire.ask(shape, stream).status_code == 200
        matches(wire.gateway.usage, billed_by(model, 1), shape)
        assert (wire.gateway.usage.requests, wire.gateway.usage.estimated_requests) == (1, 0)
        assert wire.gateway.faults == []


def test_an_agent_that_asks_for_no_usage_is_counted_and_sees_none() -> None:
    with ScriptedModel([Script(turns=(Turn(say=SAID),))]) as model, wired([allowed("chat", model.url)]) as wire:
        plain = wire.ask("chat", stream=True)
        matches(wire.gateway.usage, billed_by(model, 1), "chat")
        assert all(event["choices"] for event in events(plain))
        assert plain.text.rstrip().endswith("data: [DONE]")
        asked = wire.ask("chat", stream=True, stream_options={"include_usage": True})
        assert [event["choices"] for event in events(asked)][-1] == []
        matches(wire.gateway.usage, billed_by(model, 2), "chat")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cut_stream_is_counted_by_what_was_said_and_an_estimate(shape: str) -> None:
    turn = Turn(say=SAID * 20, usage=Tokens(cache_read=7), faults=(Fault(cut=True),))
    with ScriptedModel([Script(turns=(turn,))]) as model, wired([allowed(shape, model.url)]) as wire:
        with pytest.raises(httpx.RemoteProtocolError):
            wire.ask(shape, stream=True)
        usage, (seen,) = wire.gateway.usage, noted(model, 1)
        assert seen.ended == "cut"
        assert seen.billed is not None
        assert (usage.requests, usage.estimated_requests) == (1, 1)
        if seen.told is not None:
            assert (usage.tokens_in, usage.cache_read) == (seen.told.input, seen.told.cache_read)
        else:  # OpenAI's protocols say nothing before the end
            assert usage.tokens_in == pytest.approx(seen.billed.input, rel=0.3)
        assert usage.tokens_out == pytest.approx(seen.billed.output, rel=0.1)
        assert usage.cost_usd == pytest.approx(cost_usd(usage, PRICES))
        assert [fault.kind for fault in wire.gateway.faults] == ["cut"]
        wire.ask(shape, stream=True)
        assert (wire.gateway.usage.requests, wire.gateway.usage.estimated_requests) == (2, 1)
        assert wire.gateway.unanswered == 0


def test_a_retried_529_is_paid_once() -> None:
    turn = Turn(say=SAID, faults=(Fault(status=529, times=2), Fault(status=429, retry_after_s=3)))
    with (
        ScriptedModel([Script(turns=(turn,))]) as model,
        wired([allowed("messages", model.url)]) as wire,
    ):
        assert [wire.ask("messages").status_code for _ in range(2)] == [529, 529]
        limited = wire.ask("messages")
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
        assert wire.gateway.usage == Usage()
        assert (wire.gateway.last_ok, wire.gateway.unanswered) == (None, 3)
        assert wire.ask("messages", stream=True).status_code == 200
        matches(wire.gateway.usage, billed_by(model, 4), "messages")
        assert wire.gateway.usage.requests == 1
        assert [(fault.kind, fault.status, fault.count) for fault in wire.gateway.faults] == [
            ("overloaded", 529, 2), ("rate_limited", 429, 1),
        ]  # fmt: skip
        assert wire.gateway.unanswered == 0


def test_two_attempts_at_once_count_their_own() -> None:
    turns = (Turn(say=SAID, usage=CACHED, pause_s=0.01),)
    scripts = [Script(model="m", turns=turns), Script(turns=(Turn(say="short", pause_s=0.01),))]
    with (
        ScriptedModel(scripts) as model,
        wired([allowed("messages", model.url)]) as one,
        wired([allowed("messages", model.url, upstream="other")]) as two,
    ):

        def work(wire: Wire) -> None:
            for _ in range(5):
                wire.ask("messages", stream=True)

        threads = [threading.Thread(target=work, args=(wire,)) for wire in (one, two, one)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for wire, name, requests in ((one, "m", 10), (two, "other", 5)):
            billed = [seen.billed for seen in noted(model, 15) if seen.model == name and seen.billed]
            assert len(billed) == requests == wire.gateway.usage.requests
            matches(wire.gateway.usage, sum(billed, Billed()), "messages")


def test_a_cache_for_an_hour_is_told_from_one_for_minutes() -> None:
    written = {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 400}
    said = {"input_tokens": 10, "cache_creation_input_tokens": 700, "cache_creation": written, "output_tokens": 5}
    answer = says(json.dumps({"type": "message", "usage": said}).encode())
    with RawProvider(answer) as provider, wired([allowed("messages", provider.url)]) as wire:
        wire.ask("messages")
        usage = wire.gateway.usage
        assert (usage.tokens_in, usage.cache_write, usage.cache_write_1h, usage.tokens_out) == (710, 700, 400, 5)


@pytest.mark.parametrize("said", [None, [], {"input_tokens": -5, "output_tokens": "many"}, {"input_tokens": 2**60}])
def test_counts_that_are_none_are_not_believed(said: object) -> None:
    answer = says(json.dumps({"type": "message", "usage": said}).encode())
    with RawProvider(answer) as provider, wired([allowed("messages", provider.url)]) as wire:
        assert wire.ask("messages").status_code == 200
        assert wire.gateway.usage.requests == 1
        assert wire.gateway.usage.tokens_in < 1000


def test_counting_beforehand_and_asking_for_models_costs_nothing() -> None:
    with ScriptedModel([Script(turns=(Turn(say=SAID),))]) as model, wired([allowed("messages", model.url)]) as wire:
        counted = wire.client.post("/v1/messages/count_tokens", json={"model": "m", "messages": []})
        assert counted.json()["input_tokens"] > 0
        assert [item["id"] for item in wire.client.get("/v1/models").json()["data"]] == ["m"]
        assert wire.client.get("/v1beta/models").json()["models"][0]["name"] == "models/m"
        assert wire.client.get("/v1/models/other").status_code == 404
        assert wire.gateway.usage == Usage()


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        ({"tokens_in": 1000, "tokens_out": 10}, 1000 * 3e-6 + 10 * 15e-6),
        ({"tokens_in": 1000, "cache_read": 600, "cache_write": 300}, 100 * 3e-6 + 600 * 3e-7 + 300 * 3.75e-6),
        ({"tokens_out": 100, "reasoning": 40}, 60 * 15e-6 + 40 * 20e-6),
    ],
)
def test_what_tokens_cost(usage: dict[str, Any], dollars: float) -> None:
    assert cost_usd(Usage(**usage), PRICES) == pytest.approx(dollars)
