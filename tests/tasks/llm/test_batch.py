"""Requests out as a batch file, answers in: in the form of both providers, and by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from configs.errors import UserError
from configs.models import LLMConfig
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm import Prompt, Waiting, ask
from tasks.llm.asked import find_asked
from tasks.llm.batch import export_requests, import_answers
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Requests

SKY = Prompt("colour", 2, "You name colours.", "Which colour has the sky?", "5a5a")
SEA = Prompt("colour", 2, "You name colours.", "Which colour has the sea?", "5b5b")
GOOD = {"name": "blue", "warm": False}
OPENAI = LLMConfig(model="openai/gpt-4o-mini", batch=True, temperature=0.5)
ANTHROPIC = LLMConfig(model="anthropic/claude-sonnet-4-5", batch=True)


class Colour(BaseModel):
    name: str
    warm: bool


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def name_colour(llm: LLMConfig, store: Store, prompt: Prompt = SKY) -> Any:
    return ask(llm, prompt, Colour, store=store, repo="o/r", stage="test", item=f"item {prompt.sha}")


def leave_open(llm: LLMConfig, store: Store, *prompts: Prompt) -> None:
    for prompt in prompts or (SKY,):
        with pytest.raises(Waiting):
            name_colour(llm, store, prompt)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, *records: object) -> Path:
    path.write_text("".join((it if isinstance(it, str) else json.dumps(it)) + "\n" for it in records))
    return path


def openai_line(custom_id: str, text: str | None, status: int = 200, **message: Any) -> dict[str, Any]:
    """A line of the file that OpenAI's batch service returns."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    return {
        "id": "batch_req_1",
        "custom_id": custom_id,
        "response": {"status_code": status, "request_id": "r1", "body": body},
        "error": None,
    }


def anthropic_line(custom_id: str, *texts: str, stop: str = "end_turn") -> dict[str, Any]:
    """A line of the results of Anthropic's message batches."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": text} for text in texts],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100},
    }
    return {"custom_id": custom_id, "result": {"type": "succeeded", "message": message}}


def test_openai_requests_go_out_and_answers_come_back_at_half_the_price(store: Store, tmp_path: Path) -> None:
    leave_open(OPENAI, store, SKY, SEA)
    exported = export_requests(store, tmp_path / "new" / "out.jsonl", "openai")
    assert exported.stages == {"test": 2}
    sky, _ = sorted(lines(exported.path), key=lambda line: "sky" not in line["body"]["messages"][1]["content"])
    assert (sky["method"], sky["url"]) == ("POST", "/v1/chat/completions")
    assert {"model": "gpt-4o-mini", "max_completion_tokens": 8000, "temperature": 0.5}.items() <= sky["body"].items()
    assert [message["role"] for message in sky["body"]["messages"]] == ["system", "user"]
    assert '"warm"' in sky["body"]["messages"][0]["content"]

    answers = [openai_line(line["custom_id"], json.dumps(GOOD)) for line in lines(exported.path)]
    done = import_answers(store, write(tmp_path / "in.jsonl", *answers))
    assert (done.answers, done.problems, done.still_open) == (2, [], 0)
    assert import_answers(store, tmp_path / "in.jsonl").answers == 2  # again, after an interruption: paid for once
    answer = name_colour(OPENAI, store)
    assert (answer.value.name, answer.cached) == ("blue", True)
    half = (1000 * 0.15e-6 + 100 * 0.6e-6) / 2
    imported = [call for call in store.rows(LlmCall) if call.outcome == "imported"]
    assert [call.cost_usd for call in imported] == pytest.approx([half, half])
    assert {(call.stage, call.item) for call in imported} == {("test", "item 5a5a"), ("test", "item 5b5b")}
    # the same request, sent for: the answer of the batch serves
    assert name_colour(OPENAI.model_copy(update={"batch": False}), store).cached


def test_anthropic_requests_and_results(store: Store, tmp_path: Path) -> None:
    leave_open(ANTHROPIC, store)
    [line] = lines(export_requests(store, tmp_path / "out.jsonl", "anthropic").path)
    params = line["params"]
    assert (params["model"], params["max_tokens"]) == ("claude-sonnet-4-5", 8000)
    assert params["system"].startswith("You name colours.")
    assert params["messages"] == [{"role": "user", "content": SKY.user}]
    result = anthropic_line(line["custom_id"], "Here it is: ", json.dumps(GOOD))
    assert import_answers(store, write(tmp_path / "in.jsonl", result)).problems == []
    assert name_colour(ANTHROPIC, store).value.name == "blue"


def test_a_custom_id_says_stage_item_and_turn_and_finds_its_request(store: Store, tmp_path: Path) -> None:
    leave_open(ANTHROPIC, store)
    [line] = lines(export_requests(store, tmp_path / "1.jsonl", "anthropic").path)
    [request] = Requests(cache_folder(store)).waiting()
    assert line["custom_id"] == f"test-item_5a5a-turn1-{request.key[:24]}"
    assert re.fullmatch(
        r"[a-zA-Z0-9_-]{1,64}", replace(request, stage="a stage of a long name", item="é" * 40).custom_id
    )
    # a file that names requests by their whole keys is read, too
    import_answers(store, write(tmp_path / "a.jsonl", {"custom_id": request.key, "text": '{"name": "blue"}'}))
    leave_open(ANTHROPIC, store)
    [again] = lines(export_requests(store, tmp_path / "2.jsonl", "anthropic").path)
    assert again["custom_id"].startswith("test-item_5a5a-turn2-")
    [asked] = find_asked(store, again["custom_id"])
    assert "warm: Field required" in asked.messages[-1]["content"]


def test_a_repair_turn_is_the_next_batch(store: Store, tmp_path: Path) -> None:
    leave_open(OPENAI, store)
    [first] = lines(export_requests(store, tmp_path / "1.jsonl", "openai").path)
    import_answers(store, write(tmp_path / "a.jsonl", {"custom_id": first["custom_id"], "text": '{"name": "blue"}'}))
    leave_open(OPENAI, store)
    [second] = lines(export_requests(store, tmp_path / "2.jsonl", "openai").path)
    assert second["custom_id"] != first["custom_id"]
    assert "warm: Field required" in second["body"]["messages"][-1]["content"]
    import_answers(store, write(tmp_path / "b.jsonl", {"custom_id": second["custom_id"], "text": GOOD}))
    answer = name_colour(OPENAI, store)
    assert (answer.value.name, answer.attempts, answer.cost_usd) == ("blue", 2, 0)


def test_bad_lines_are_listed_and_the_others_imported(store: Store, tmp_path: Path) -> None:
    leave_open(OPENAI, store, SKY, SEA)
    ids = [line["custom_id"] for line in lines(export_requests(store, tmp_path / "out.jsonl", "openai").path)]
    failed = openai_line(ids[1], None, 429)
    failed["response"]["body"] = {"error": {"message": "Rate limit reached", "type": "requests"}}
    expired = {"custom_id": ids[1], "response": None, "error": {"code": "batch_expired", "message": "not in 24 hours"}}
    errored = {
        "custom_id": ids[1],
        "result": {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "oops"}}},
    }
    answers = write(
        tmp_path / "in.jsonl",
        "this is not JSON",
        ["no object"],
        {"text": "whose?"},
        {"custom_id": "f" * 40, "text": "unknown"},
        {"custom_id": ids[1]},
        failed,
        expired,
        errored,
        {"custom_id": ids[1], "result": {"type": "expired"}},
        {"custom_id": ids[1], "response": {"status_code": 200, "body": {"choices": []}}},
        "",
        {"custom_id": ids[0], "text": GOOD},
    )
    done = import_answers(store, answers)
    assert (done.answers, done.still_open) == (1, 1)
    expected = [
        "1: not JSON", "2: no custom_id", "3: no custom_id", "is no request of this store", "5: has none of",
        "answered 429: Rate limit reached", "not in 24 hours", "errored oops", "expired", "IndexError",
    ]  # fmt: skip
    assert len(done.problems) == len(expected)
    for problem, text in zip(done.problems, expected, strict=True):
        assert text in problem
        assert problem.startswith(str(answers))
    [left] = Requests(cache_folder(store)).waiting()
    assert left.custom_id == ids[1]


def test_lines_in_odd_dresses_are_read_or_listed(store: Store, tmp_path: Path) -> None:
    leave_open(OPENAI, store, SKY, SEA)
    sky, sea = (line["custom_id"] for line in lines(export_requests(store, tmp_path / "out.jsonl", "openai").path))
    parts = openai_line(sky, None)
    parts["response"]["body"]["choices"][0]["message"]["content"] = [{"type": "text", "text": json.dumps(GOOD)}]
    parts["response"]["body"]["usage"] = {"prompt_tokens": 1 << 70, "completion_tokens": "many"}
    half = openai_line(sea, json.dumps(GOOD) + "\ud83d")
    answers = tmp_path / "in.jsonl"
    answers.write_bytes(
        b"\xef\xbb\xbf" + json.dumps(parts).encode() + b'\r\n{"custom_id": "\xff"}\n' + b'{"a":' * 100_000 + b"\n"
        b'{"custom_id": "../../../etc/passwd", "text": "x"}\n' + json.dumps(half).encode() + b"\n"
    )  # fmt: skip
    done = import_answers(store, answers)
    assert (done.answers, done.still_open) == (2, 0)
    for problem, text in zip(done.problems, ["2: not UTF-8", "3: nested too deeply", "4: custom_id"], strict=True):
        assert text in problem
    assert [name_colour(OPENAI, store, prompt).value.name for prompt in (SKY, SEA)] == ["blue", "blue"]


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (lambda key: openai_line(key, None, refusal="I will not."), "The model refused: I will not."),
        (lambda key: openai_line(key, None), "The answer was empty."),
        (lambda key: anthropic_line(key, '{"name": "bl', stop="max_tokens"), "cut off at the length limit"),
    ],
    ids=["refusal", "empty", "length"],
)
def test_what_is_no_answer_costs_the_repair_turn(result: Any, complaint: str, store: Store, tmp_path: Path) -> None:
    leave_open(OPENAI, store)
    [line] = lines(export_requests(store, tmp_path / "1.jsonl", "openai").path)
    assert import_answers(store, write(tmp_path / "in.jsonl", result(line["custom_id"]))).problems == []
    leave_open(OPENAI, store)
    [again] = lines(export_requests(store, tmp_path / "2.jsonl", "openai").path)
    assert complaint in again["body"]["messages"][-1]["content"]


def test_files_that_cannot_be_used_are_the_users_mistake(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        import_answers(store, tmp_path / "absent.jsonl")
    with pytest.raises(UserError, match="cannot write"):
        export_requests(store, tmp_path, "openai")


def test_the_exact_prompt_can_be_shown_before_and_after_its_answer(store: Store, tmp_path: Path) -> None:
    leave_open(OPENAI, store)
    [asked] = find_asked(store, "item 5a", "test")
    assert asked.messages[1] == {"role": "user", "content": "Which colour has the sky?"}
    assert (asked.call.prompt, asked.reply) == ("colour v2", None)
    import_answers(store, write(tmp_path / "in.jsonl", {"custom_id": asked.call.request_key, "text": GOOD}))
    name_colour(OPENAI, store)
    [again] = find_asked(store, asked.call.request_key[:12])
    assert json.loads(again.reply or "") == GOOD
    with pytest.raises(UserError, match="no request of stage apis about 'item 5a'"):
        find_asked(store, "item 5a", "apis")


def test_a_waiting_request_is_one_row_however_often_it_is_met(store: Store) -> None:
    leave_open(OPENAI, store)
    leave_open(OPENAI, store)
    [row] = store.rows(LlmCall)
    assert (row.outcome, row.cost_usd) == ("waiting for an answer", 0)
