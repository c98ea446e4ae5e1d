"""Ctrl-C while requests are under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from configs.models import LLMConfig
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm import Prompt, ask, stopping
from tests.tasks.llm.loopback import GOOD, ChatServer, error, says


class Colour(BaseModel):
    name: str
    warm: bool


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-loopback-0123456789abcdef")
    found = ChatServer()
    yield found
    stopping.go_on()
    found.close()


def name_colour(server: ChatServer, store: Store, what: str, **more: Any) -> Any:
    llm = LLMConfig(model="openai/ours", api_base=server.url, fallbacks=["openai/other"], timeout_s=20, **more)
    prompt = Prompt("colour", 1, "You name colours.", f"Which colour has the {what}?", what)
    return ask(llm, prompt, Colour, store=store, repo="o/r", stage="test", item=what)


def test_an_answer_under_way_is_kept_and_nothing_more_is_sent(server: ChatServer, tmp_path: Path) -> None:
    store, asked, release = Store(tmp_path / "store"), threading.Event(), threading.Event()

    def react(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        release.wait(20)
        says(GOOD)(handler)

    server.script = [react]
    worker = threading.Thread(target=name_colour, args=(server, store, "sky"))
    worker.start()
    assert asked.wait(20)
    stopping.stop()
    assert stopping.under_way() == 1
    with pytest.raises(stopping.Stopped):
        name_colour(server, store, "sea")
    release.set()
    stopping.wait_for_answers()
    assert [(row.item, row.outcome) for row in store.rows(LlmCall)] == [("sky", "ok")]
    worker.join(20)
    assert len(server.requests) == 1
    stopping.go_on()
    assert name_colour(server, store, "sky").cached
    assert name_colour(server, store, "sea").value.name == "blue"


def test_nobody_sleeps_until_the_next_try(server: ChatServer, tmp_path: Path) -> None:
    def react(handler: BaseHTTPRequestHandler) -> None:
        error(429, "slow down", Retry_After="60")(handler)
        stopping.stop()

    server.script = [react]
    with pytest.raises(stopping.Stopped):
        name_colour(server, Store(tmp_path / "store"), "sky")
    assert len(server.requests) == 1
