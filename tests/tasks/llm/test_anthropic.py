"""The same client in Anthropic's protocol: what is said, how it fails, where the schema goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from configs.models import LLMConfig
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm import AnswerInvalid, LlmError, Prompt, ask, client
from tests.tasks.llm.loopback import (
    GOOD,
    ChatServer,
    Reaction,
    claude_error,
    dribbles,
    resets,
    says_claude,
    sends,
    sleeps,
)

SECRET = "sk-ant-loopback-0123456789abcdef"
PROMPT = Prompt("colour", 1, "You name colours.", "Which colour has the sky?", "0123abcd")
PLAIN = "anthropic/claude-of-ours"  # litellm does not know that it takes a schema
TAUGHT = "anthropic/claude-sonnet-4-5"


class Colour(BaseModel):
    name: str
    warm: bool


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setattr(client, "BACKOFF_S", 0.01)
    found = ChatServer()
    found.script = [says_claude(GOOD)]
    yield found
    found.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def name_colour(server: ChatServer, store: Store, model: str = PLAIN, **more: Any) -> Any:
    llm = LLMConfig(model=model, api_base=server.root, **({"timeout_s": 20} | more))
    return ask(llm, PROMPT, Colour, store=store, repo="o/r", stage="test", item="sky")


def test_an_answer_with_its_cost(server: ChatServer, store: Store) -> None:
    server.script = [says_claude(f"Here it is: {GOOD}")]
    answer = name_colour(server, store)
    assert (answer.value.name, answer.tokens_in, answer.tokens_out) == ("blue", 1000, 100)
    [request] = server.requests
    assert request["model"] == "claude-of-ours"
    assert request["max_tokens"] == 8000
    assert "You name colours." in str(request["system"])
    assert [message["role"] for message in request["messages"]] == ["user"]


def test_a_model_that_takes_a_schema_gets_it_and_its_price_is_known(server: ChatServer, store: Store) -> None:
    def react(handler: Any) -> None:
        tools = server.requests[-1].get("tools")
        (says_claude(GOOD, "tool_use", tool=tools[0]["name"]) if tools else says_claude(GOOD))(handler)

    server.script = [react]
    answer = name_colour(server, store, TAUGHT)
    assert answer.value == Colour(name="blue", warm=False)
    assert answer.cost_usd == pytest.approx(1000 * 3e-6 + 100 * 15e-6)
    elsewhere = {name: value for name, value in server.requests[0].items() if name not in ("system", "messages")}
    assert "'warm'" in str(elsewhere)  # as a parameter, wherever the client puts it


@pytest.mark.parametrize(
    ("fault", "timeout_s"),
    [
        (claude_error(429, "rate_limit_error", "slow down"), 20),
        (claude_error(429, "rate_limit_error", "slow down", Retry_After="0.01"), 20),
        (claude_error(500, "api_error", "oops"), 20),
        (claude_error(529, "overloaded_error", "Overloaded"), 20),
        (sends(200, '{"id": "msg_1", "cont'), 20),
        (resets, 20),
        (sleeps(3), 0.5),
        (dribbles(3), 0.5),
    ],
    ids=["429", "429 with Retry-After", "500", "529", "truncated body", "connection reset", "silence", "slow stream"],
)
def test_faults_of_the_outside_are_tried_again(
    fault: Reaction, timeout_s: float, server: ChatServer, store: Store
) -> None:
    server.script = [fault, says_claude(GOOD)]
    assert name_colour(server, store, retries=1, timeout_s=timeout_s).value.name == "blue"
    assert len(server.requests) == 2


def test_a_bad_key_fails_at_once_and_is_not_repeated(server: ChatServer, store: Store, tmp_path: Path) -> None:
    server.script = [claude_error(401, "authentication_error", f"invalid x-api-key {SECRET}")]
    with pytest.raises(LlmError) as caught:
        name_colour(server, store)
    assert not caught.value.transient
    assert SECRET not in str(caught.value)
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        (says_claude('{"name": "bl', "max_tokens"), "cut off at the length limit"),
        (says_claude('{"name": "bl'), "no complete JSON object"),
        (says_claude("I will not name colours.", "refusal"), "refused: I will not name colours."),
        (says_claude(None, "refusal"), "refused: it said nothing"),
        (says_claude(""), "empty"),
        (says_claude('{"name": "blue"}'), "warm: Field required"),
    ],
    ids=["length", "truncated", "refusal", "refusal without a word", "empty", "wrong schema"],
)
def test_an_invalid_answer_is_sent_back_once(first: Reaction, complaint: str, server: ChatServer, store: Store) -> None:
    server.script = [first, says_claude(GOOD)]
    answer = name_colour(server, store)
    assert (answer.value.name, answer.attempts) == ("blue", 2)
    assert complaint in str(server.requests[1]["messages"][-1]["content"])
    assert [row.repaired for row in store.rows(LlmCall)] == [False, True]


def test_the_pause_that_the_server_asks_for_is_kept(
    server: ChatServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(client.stopping, "pause", pauses.append)
    server.script = [claude_error(429, "rate_limit_error", "slow down", Retry_After="7"), says_claude(GOOD)]
    name_colour(server, store, retries=1)
    assert 7 <= pauses[0] < 8


def test_a_refusal_twice_is_a_result(server: ChatServer, store: Store) -> None:
    server.script = [says_claude("I cannot help with that.", "refusal")]
    with pytest.raises(AnswerInvalid):
        name_colour(server, store)
