"""The real client against a server on this machine that speaks the OpenAI chat protocol, with faults."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from configs.models import LLMConfig
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm import AnswerInvalid, BudgetExceeded, LlmError, Prompt, Turn, ask, budget, calls, client
from tests.tasks.llm.loopback import GOOD, ChatServer, Reaction, dribbles, error, resets, says, sends, sleeps

SECRET = "sk-loopback-0123456789abcdef"
PRICED = "openai/gpt-4o-mini"  # litellm knows its price, and that it takes a schema
UNKNOWN = "openai/a-model-of-ours"
PROMPT = Prompt("colour", 1, "You name colours.", "Which colour has the sky?", "0123abcd")


class Colour(BaseModel):
    name: str
    warm: bool


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setattr(client, "BACKOFF_S", 0.01)
    found = ChatServer()
    yield found
    found.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def config(server: ChatServer, model: str = UNKNOWN, **more: Any) -> LLMConfig:
    return LLMConfig(model=model, api_base=server.url, timeout_s=20, **more)


def name_colour(llm: LLMConfig, store: Store, prompt: Prompt = PROMPT, **more: Any) -> Any:
    return ask(llm, prompt, Colour, store=store, repo="o/r", stage="test", item="sky", **more)


def test_an_answer_with_its_cost_and_a_row_per_request(server: ChatServer, store: Store) -> None:
    answer = name_colour(config(server, PRICED), store)
    assert answer.value == Colour(name="blue", warm=False)
    assert (answer.attempts, answer.cached, answer.tokens_in, answer.tokens_out) == (1, False, 1000, 100)
    assert answer.cost_usd == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
    [row] = store.rows(LlmCall)
    assert (row.outcome, row.item, row.model, row.prompt_sha) == ("ok", "sky", PRICED, "0123abcd")
    assert row.cost_usd == answer.cost_usd


def test_a_schema_is_sent_where_the_model_takes_one_and_stands_in_the_text_anyway(
    server: ChatServer, store: Store
) -> None:
    name_colour(config(server, PRICED), store)
    name_colour(config(server, UNKNOWN), store)
    taught, untaught = server.requests
    assert taught["response_format"]["json_schema"]["name"] == "Colour"
    assert "response_format" not in untaught
    assert '"warm"' in untaught["messages"][0]["content"]


def test_a_server_that_refuses_the_schema_parameter_is_asked_without(server: ChatServer, store: Store) -> None:
    server.script = [error(400, "response_format is not supported"), says(GOOD)]
    assert name_colour(config(server, PRICED), store).value.name == "blue"
    assert ["response_format" in request for request in server.requests] == [True, False]


@pytest.mark.parametrize(
    "fault",
    [
        error(429, "slow down"),
        error(429, "slow down", Retry_After="0.01"),
        error(500, "oops"),
        error(503, "overloaded"),
        sends(200, '{"id": "1", "choi'),
        resets,
    ],
    ids=["429", "429 with Retry-After", "500", "503", "truncated body", "connection reset"],
)
def test_faults_of_the_outside_are_tried_again(fault: Reaction, server: ChatServer, store: Store) -> None:
    server.script = [fault, fault, says(GOOD)]
    assert name_colour(config(server, retries=2), store).value.name == "blue"
    assert len(server.requests) == 3


@pytest.mark.parametrize("fault", [sleeps(3), dribbles(3)], ids=["silence", "slow stream"])
def test_an_answer_that_takes_too_long_is_tried_again(fault: Reaction, server: ChatServer, store: Store) -> None:
    server.script = [fault, says(GOOD)]
    llm = config(server, retries=1).model_copy(update={"timeout_s": 0.5})
    assert name_colour(llm, store).value.name == "blue"
    server.script = [fault]
    with pytest.raises(LlmError, match=r"within 0\.5 s|[Tt]imed? ?out") as caught:
        name_colour(llm.model_copy(update={"retries": 0}), store, prompt=Prompt("colour", 1, "s", "And now?", "77"))
    assert caught.value.transient


def test_retries_end_and_the_error_says_what_happened(server: ChatServer, store: Store) -> None:
    server.script = [error(500, "the disk of the server is full")]
    with pytest.raises(LlmError, match="disk of the server is full") as caught:
        name_colour(config(server, retries=1), store)
    assert caught.value.transient
    assert len(server.requests) == 2
    [row] = store.rows(LlmCall)
    assert row.outcome.startswith("error: ")


@pytest.mark.parametrize("retry_after", ["7", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_the_pause_that_the_server_asks_for_is_kept(
    retry_after: str, server: ChatServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(client.stopping, "pause", pauses.append)
    server.script = [error(429, "slow down", Retry_After=retry_after), says(GOOD)]
    name_colour(config(server, retries=1), store)
    assert max(pauses) >= min(7, client.MAX_PAUSE_S)


@pytest.mark.parametrize(("status", "message"), [(401, f"Incorrect API key: {SECRET}"), (404, "no such model")])
def test_what_no_retry_mends_fails_at_once(status: int, message: str, server: ChatServer, store: Store) -> None:
    server.script = [error(status, message)]
    with pytest.raises(LlmError) as caught:
        name_colour(config(server), store)
    assert not caught.value.transient
    assert len(server.requests) == 1


def test_a_key_that_is_not_set_is_named_at_once(
    server: ChatServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(LlmError, match="OPENAI_API_KEY is not set: put it") as caught:
        name_colour(config(server), store)
    assert not caught.value.transient
    assert server.requests == []


def test_no_secret_reaches_errors_store_or_cache(server: ChatServer, store: Store, tmp_path: Path) -> None:
    server.script = [error(401, f"Incorrect API key: {SECRET}"), says(GOOD)]
    with pytest.raises(LlmError) as caught:
        name_colour(config(server), store)
    assert SECRET not in str(caught.value)
    name_colour(config(server), store)
    assert all(SECRET not in row.outcome for row in store.rows(LlmCall))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".json" for path in files)
    assert all(SECRET.encode() not in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        (says('{"name": "blue", "wa'), "no complete JSON object"),
        (says('{"name": "blue", "more": {"a": 1}, "wa'), "no complete JSON object"),
        (says('{"name": "blue", "wa', finish="length"), "cut off at the length limit"),
        (says('{"name": "blue"}'), "warm: Field required"),
        (says(""), "empty"),
        (says(None), "empty"),
        (says("I would say blue."), "no '{'"),
        (says(None, refusal="I will not name colours."), "refused: I will not name colours."),
        (says(f'Draft: {{"name": "red", "warm": true}}\nFinal: {GOOD}'), "2 different objects"),
        (says("[" * 600_000), "are read at most"),
        (says('{"name": "\ud83d'), "no complete JSON object"),
        (says(None, reasoning_content='{"name": "red", "warm": true}'), "empty"),
    ],
    ids=[
        "truncated",
        "truncated after an object",
        "length",
        "wrong schema",
        "empty",
        "null",
        "prose",
        "refusal",
        "draft",
        "flood",
        "half a surrogate pair",
        "a thought only",
    ],
)
def test_an_invalid_answer_is_sent_back_once_with_the_complaint(
    first: Reaction, complaint: str, server: ChatServer, store: Store
) -> None:
    server.script = [first, says(GOOD)]
    answer = name_colour(config(server), store)
    assert (answer.value.name, answer.attempts) == ("blue", 2)
    assert [message["role"] for message in server.requests[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert complaint in server.requests[1]["messages"][-1]["content"]
    assert [row.repaired for row in store.rows(LlmCall)] == [False, True]


def test_an_answer_that_stays_invalid_is_a_result_with_its_cost(server: ChatServer, store: Store) -> None:
    server.script = [says('{"name": 1}')]
    with pytest.raises(AnswerInvalid, match="warm: Field required") as caught:
        name_colour(config(server, PRICED), store)
    assert caught.value.attempts == 2
    assert caught.value.cost_usd == pytest.approx(2 * (1000 * 0.15e-6 + 100 * 0.6e-6))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "text",
    [
        f"Sure, here it is:\n```json\n{GOOD}\n```\nAnything else?",
        f"Sure: {GOOD} - done.",
        f'First {{"note": 1}}, then {GOOD}',
        GOOD.replace("blue", "light\nblue"),
    ],
    ids=["fenced", "in prose", "second object", "raw line break in a string"],
)
def test_tolerant_parsing(text: str, server: ChatServer, store: Store) -> None:
    server.script = [says(text)]
    answer = name_colour(config(server), store)
    assert answer.value.warm is False
    assert answer.attempts == 1


def test_a_check_of_the_caller_counts_like_the_schema(server: ChatServer, store: Store) -> None:
    server.script = [says(GOOD), says(GOOD.replace("blue", "azure"))]
    answer = name_colour(config(server), store, check=lambda it: "Not blue, please." if it.name == "blue" else None)
    assert answer.value.name == "azure"
    assert "Not blue, please." in server.requests[1]["messages"][-1]["content"]


def test_a_conversation_goes_on(server: ChatServer, store: Store) -> None:
    first = name_colour(config(server), store)
    name_colour(config(server), store, turns=[*first.turns, Turn("user", "And at night?")])
    assert [message["content"] for message in server.requests[1]["messages"][2:]] == [GOOD, "And at night?"]


def test_the_cache_answers_a_second_time_for_nothing(server: ChatServer, store: Store) -> None:
    paid = name_colour(config(server, PRICED), store)
    again = name_colour(config(server, PRICED), Store(store.root))
    assert (again.cached, again.value, again.cost_usd) == (True, paid.value, paid.cost_usd)
    assert len(server.requests) == 1
    assert [row.cached for row in store.rows(LlmCall)] == [False]  # the cached one's row waits for others
    calls.flush(store)
    assert [(row.cached, row.cost_usd > 0) for row in store.rows(LlmCall)] == [(False, True), (True, False)]


def test_rows_of_cached_answers_are_written_together(server: ChatServer, store: Store) -> None:
    name_colour(config(server), store)
    for _ in range(calls.TOGETHER + 1):
        name_colour(config(server), store)
    parts = list((Path(store.root) / "llm_calls").rglob("*.parquet"))
    assert len(parts) == 3  # what was paid, what its answer came to, and the first hundred
    calls.flush(store)
    assert len(store.rows(LlmCall)) == calls.TOGETHER + 2


def test_rows_that_wait_are_written_when_the_process_ends(server: ChatServer, store: Store) -> None:
    name_colour(config(server), store)
    row = store.rows(LlmCall)[0].model_copy(update={"call_id": "later", "cached": True})
    program = (
        "import sys; from storage.store import Store; from storage.tables import LlmCall; from tasks.llm import calls; "
        "calls.record(Store(sys.argv[1]), [LlmCall.model_validate_json(sys.argv[2])])"
    )
    subprocess.run([sys.executable, "-c", program, store.root, row.model_dump_json()], check=True)
    assert "later" in {found.call_id for found in store.rows(LlmCall)}


def test_the_cache_tells_requests_apart(server: ChatServer, store: Store) -> None:
    for change in ({}, {"temperature": 0.5}, {"max_tokens": 77}, {"model": "openai/another"}):
        name_colour(config(server, **change), store)
    name_colour(config(server), store, prompt=Prompt("colour", 1, "You name colours.", "And the sea?", "4567"))
    assert len(server.requests) == 5


def test_many_who_ask_the_same_at_once_pay_once(server: ChatServer, store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: name_colour(config(server), Store(store.root)), range(16)))
    assert {answer.value.name for answer in answers} == {"blue"}
    assert len(server.requests) == 1
    calls.flush(store)
    assert len(store.rows(LlmCall)) == 16


def test_a_damaged_cache_file_counts_as_absent(server: ChatServer, store: Store) -> None:
    name_colour(config(server), store)
    [file] = (store.work.parent / "llm").glob("??/*.json")
    file.write_text(file.read_text()[:10])
    assert not name_colour(config(server), store).cached
    assert len(server.requests) == 2


def test_no_more_requests_at_once_than_allowed(server: ChatServer, store: Store) -> None:
    now, most = 0, 0
    lock = threading.Lock()
    meet = threading.Barrier(2)

    def react(handler: BaseHTTPRequestHandler) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        meet.wait(timeout=10)  # passes only if two are under way together
        with lock:
            now -= 1
        says(GOOD)(handler)

    server.script = [react]
    prompts = [Prompt("colour", 1, "s", f"number {number}", str(number)) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda prompt: name_colour(config(server, max_concurrency=2), store, prompt=prompt), prompts))
    assert most == 2


def test_the_budget_stops_before_it_is_exceeded_and_a_larger_one_goes_on(server: ChatServer, store: Store) -> None:
    def prompt(number: int) -> Prompt:
        return Prompt("colour", 1, "s", f"number {number}", str(number))

    def llm(usd: float) -> LLMConfig:
        return config(server, PRICED, budget_usd=usd, max_tokens=1000)

    worst = client.worst_cost(llm(1), PRICED, [{"role": "user", "content": "x" * 600}])
    name_colour(llm(worst), store, prompt=prompt(1))

    def ask_until_it_stops() -> None:
        for number in range(2, 100):
            name_colour(llm(worst), store, prompt=prompt(number))

    with pytest.raises(BudgetExceeded, match="spent"):
        ask_until_it_stops()
    sent = len(server.requests)
    assert sent < 99
    assert 0 < budget.spent(store.root) <= worst
    assert name_colour(llm(worst), store, prompt=prompt(1)).cached  # costs nothing, so it is allowed
    budget.reset(store.root)
    name_colour(llm(worst), store, prompt=prompt(99))
    assert len(server.requests) == sent + 1


@pytest.mark.parametrize("fault", [sleeps(2), resets], ids=["silence", "connection reset"])
def test_a_try_that_may_be_billed_counts_with_its_worst_case(fault: Reaction, server: ChatServer, store: Store) -> None:
    llm = config(server, PRICED, max_tokens=100_000).model_copy(update={"timeout_s": 0.5})
    worst = client.worst_cost(llm, PRICED, [{"role": "user", "content": "x" * 600}])
    server.script = [fault, says(GOOD)]
    with pytest.raises(BudgetExceeded, match="spent"):
        name_colour(llm.model_copy(update={"budget_usd": 1.5 * worst}), store)
    assert len(server.requests) == 1
    assert worst / 2 < budget.spent(store.root) <= 1.5 * worst
    assert budget.promised(store.root) == 0
    roomy = llm.model_copy(update={"budget_usd": 4 * worst, "timeout_s": 20})
    assert name_colour(roomy, store).value.name == "blue"


def test_a_server_that_is_not_there_costs_nothing(server: ChatServer, store: Store) -> None:
    server.close()
    with pytest.raises(LlmError, match="after 2 tries"):
        name_colour(config(server, PRICED, budget_usd=1, retries=1), store)
    assert budget.spent(store.root) == budget.promised(store.root) == 0


def test_requests_at_once_wait_for_what_the_others_really_cost(server: ChatServer, store: Store) -> None:
    llm = config(server, PRICED, max_tokens=100_000, max_concurrency=4)
    worst = client.worst_cost(llm, PRICED, [{"role": "user", "content": "x" * 600}])
    llm = llm.model_copy(update={"budget_usd": 1.5 * worst})  # room for one at a time; each costs a five-hundredth

    def ask_about(number: int) -> Any:
        return name_colour(llm, store, prompt=Prompt("colour", 1, "s", f"number {number}", str(number)))

    with ThreadPoolExecutor(4) as pool:
        assert {answer.value.name for answer in pool.map(ask_about, range(4))} == {"blue"}
    assert 0 < budget.spent(store.root) < worst


def test_a_budget_for_a_model_without_a_price_is_refused(server: ChatServer, store: Store) -> None:
    with pytest.raises(LlmError, match="no known price"):
        name_colour(config(server, UNKNOWN, budget_usd=1), store)
    assert server.requests == []


def test_fallbacks_are_asked_in_order(server: ChatServer, store: Store) -> None:
    server.script = [error(404, "no such model"), says(GOOD)]
    answer = name_colour(config(server, fallbacks=["openai/second"]), store)
    assert answer.model == "openai/second"
    assert [request["model"] for request in server.requests] == ["a-model-of-ours", "second"]
    assert [row.outcome.split(":")[0] for row in store.rows(LlmCall)] == ["error", "ok"]
    again = name_colour(config(server, fallbacks=["openai/second"]), store)  # a run that goes on pays nobody twice
    assert (again.model, again.cached) == ("openai/second", True)
    assert len(server.requests) == 2
