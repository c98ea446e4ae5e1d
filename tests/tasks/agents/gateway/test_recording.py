"""What is kept of an attempt: every byte that was said, once, without a key."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from storage.store import Store
from tasks.agents.gateway import Budget, Recorder, folder_of
from tasks.agents.gateway.recording import body as kept
from tasks.agents.gateway.recording import exchanges, pieces
from tasks.agents.scripted import Fault, Script, ScriptedModel, Turn
from tests.tasks.agents.gateway.raw import RawProvider, says
from tests.tasks.agents.gateway.wire import KEY, SHAPES, allowed, body, wired

TEXT = "Éine lange Rede, die nur einmal auf die Platte geschrieben werden soll. " * 40


def conversation(shape: str, turns: int) -> bytes:
    said = [TEXT] + [f"{number} {TEXT}" for number in range(turns)]
    if shape == "gemini":
        contents = [{"role": "user", "parts": [{"text": text}]} for text in said]
        return json.dumps(body(shape, contents=contents), ensure_ascii=False).encode()
    messages = [{"role": "user", "content": text} for text in said]
    name = "input" if shape == "responses" else "messages"
    return json.dumps(body(shape, **{name: messages}), ensure_ascii=False, indent=1).encode()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_byte_is_kept_and_what_is_said_again_only_once(shape: str, tmp_path: Path) -> None:
    with ScriptedModel([Script(turns=(Turn(say="x" * 900),))]) as model:
        asked = [conversation(shape, turns) for turns in range(12)]
        with wired([allowed(shape, model.url)], record=Recorder(tmp_path, "one/attempt")) as wire:
            path = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
            got = [
                wire.client.post(path.get(shape, "/v1beta/models/m:generateContent"), content=content).content
                for content in asked
            ]
        found = list(exchanges(tmp_path, "one/attempt"))
        assert [exchange.number for exchange in found] == list(range(1, 13))
        assert [kept(tmp_path, exchange.request) for exchange in found] == asked
        assert [kept(tmp_path, exchange.answer) for exchange in found] == got
        assert found[0].usage.cost_usd > 0
        assert sum(exchange.usage.tokens_in for exchange in found) == wire.gateway.usage.tokens_in
        written = sum(file.stat().st_size for file in (tmp_path / "pieces").rglob("*.z"))
        assert written < sum(map(len, asked)) / 20


def test_what_was_refused_and_what_was_cut_is_kept_too(tmp_path: Path) -> None:
    turn = Turn(say="word " * 500, faults=(Fault(status=529), Fault(cut=True)))
    with (
        ScriptedModel([Script(turns=(turn,))]) as model,
        wired([allowed("messages", model.url)], Budget(requests=1), record=Recorder(tmp_path, "a")) as wire,
    ):
        wire.ask("messages", model="other")
        wire.ask("messages")
        with pytest.raises(httpx.RemoteProtocolError):
            wire.ask("messages", stream=True, max_tokens=9000)
        wire.ask("messages")
    found = list(exchanges(tmp_path, "a"))
    assert [(exchange.ended, exchange.status) for exchange in found] == [
        ("refused", 404), ("overloaded", 529), ("cut", 200), ("refused", 403),
    ]  # fmt: skip
    assert b"message_start" in kept(tmp_path, found[2].answer)
    assert b"the attempt is over" in kept(tmp_path, found[3].answer)
    assert found[2].usage.estimated_requests == 1


def test_no_key_is_in_any_record(tmp_path: Path) -> None:
    said = says(f"you sent {KEY}".encode(), "401 Unauthorized")
    record = Recorder(tmp_path, "a")
    with RawProvider(said) as provider, wired([allowed("chat", provider.url)], record=record) as wire:
        wire.ask("chat")
        wire.ask("chat", stream=True)
    for exchange in exchanges(tmp_path, "a"):
        assert kept(tmp_path, exchange.answer) == b"you sent ***"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 4
    assert not any(KEY.encode() in file.read_bytes() for file in files)


def test_what_is_damaged_says_so_and_harms_nothing_else(tmp_path: Path) -> None:
    record = Recorder(tmp_path, "a")
    with RawProvider(says(b"{}" * 200)) as provider, wired([allowed("chat", provider.url)], record=record) as wire:
        wire.ask("chat")
        wire.ask("chat", temperature=1)
    index = tmp_path / "attempts" / "a.jsonl"
    first, second = list(exchanges(tmp_path, "a"))
    (tmp_path / f"pieces/{first.request[0][:2]}/{first.request[0]}.z").write_bytes(b"no zlib")
    with pytest.raises(OSError, match="damaged"):
        kept(tmp_path, first.request)
    assert kept(tmp_path, second.answer) == b"{}" * 200
    index.write_bytes(index.read_bytes()[:-40])  # killed while it wrote
    assert list(exchanges(tmp_path, "a")) == [first]
    assert list(exchanges(tmp_path, "unknown")) == []


def test_what_an_attempt_paid_before_it_was_made_again_stays(tmp_path: Path) -> None:
    for content in ("first", "second", "third"):
        with (
            RawProvider(says(json.dumps({"id": content}).encode())) as provider,
            wired([allowed("chat", provider.url)], record=Recorder(tmp_path, "a")) as wire,
        ):
            wire.ask("chat")
    (last,) = exchanges(tmp_path, "a")
    assert b"third" in kept(tmp_path, last.answer)
    earlier = sorted((tmp_path / "attempts" / "a.jsonl.before").iterdir())
    assert [file.name for file in earlier] == ["1.jsonl", "2.jsonl"]
    assert all(len(file.read_bytes().splitlines()) == 1 for file in earlier)


def test_a_full_disk_is_a_fault_and_no_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with RawProvider(says(b"{}")) as provider:
        record = Recorder(tmp_path / "file" / "below", "a")
        with wired([allowed("chat", provider.url)], record=record) as wire:
            assert wire.ask("chat").status_code == 200
    assert [(fault.kind, fault.detail) for fault in wire.gateway.faults] == [("not_recorded", os.strerror(20))]


def test_an_agent_cannot_fill_the_disk(tmp_path: Path) -> None:
    record = Recorder(tmp_path, "a", most=200_000)
    with RawProvider(says(b"{}")) as provider, wired([allowed("chat", provider.url)], record=record) as wire:
        for _ in range(20):
            assert wire.ask("chat", user=os.urandom(20_000).hex()).status_code == 200
    (fault,) = wire.gateway.faults
    assert (fault.kind, fault.detail) == (
        "not_recorded", "the attempt's records take more than they may: this one is not kept",
    )  # fmt: skip
    assert fault.count + len(list(exchanges(tmp_path, "a"))) == 20
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 200_000


def test_records_lie_in_the_work_area_of_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert folder_of(store).is_relative_to(store.work)


def test_pieces_are_the_data_in_a_row() -> None:
    data = bytes(range(256)) * 8
    for cuts in ([], [0], [1, 300, 301, 900], [5000], [2047, 2048]):
        assert b"".join(pieces(data, cuts)) == data
    assert [len(piece) for piece in pieces(data, [10, 300, 400, 1000])] == [300, 700, 1048]
    assert pieces(b"", [3]) == []
