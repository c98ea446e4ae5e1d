"""The scripted model against the clients of real providers, and its faults and bills."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.agents.scripted import Billed, Call, Fault, Script, ScriptedModel, ScriptError, Turn, count, read_scripts

TASK = "Make the search faster."
BASH = {"type": "object", "properties": {"command": {"type": "string"}, "why": {"type": "string"}},
        "required": ["command", "why"]}  # fmt: skip
EXEC = {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}
TURNS = (Turn(run="cat search.py", say="I read it."), Turn(finish="It is faster now."))


def anthropic(server: ScriptedModel, messages: list[dict[str, Any]] | None = None, **more: Any) -> httpx.Response:
    body = {
        "model": "m", "max_tokens": 500, "messages": messages or [{"role": "user", "content": TASK}],
        "tools": [{"name": "Bash", "input_schema": BASH}], **more,
    }  # fmt: skip
    return httpx.post(f"{server.url}/v1/messages", json=body, timeout=10)


def chat(server: ScriptedModel, **more: Any) -> httpx.Response:
    tools = [{"type": "function", "function": {"name": "bash", "parameters": BASH}}]
    body = {"model": "m", "messages": [{"role": "user", "content": TASK}], "tools": tools, **more}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=10)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("provider", "root"), [("anthropic", ""), ("openai", "/v1"), ("gemini", "/v1beta")])
def test_a_client_of_each_protocol_reads_calls_texts_and_bills(
    provider: str, root: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import asks the network
    import litellm

    tools = [{"type": "function", "function": {"name": "bash", "parameters": BASH}}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASK}]
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    more["_skip_mcp_handler"] = True  # it wants a package that litellm does not depend on
    found = []
    usages = []
    with ScriptedModel([Script(turns=TURNS)]) as model:
        for _ in TURNS:
            base = model.url if provider == "anthropic" else f"{model.url}{root}"
            name = "gemini-2.5-pro" if provider == "gemini" else "scripted"
            said = litellm.completion(
                f"{provider}/{name}", messages, tools=tools, api_base=base, api_key="x", stream=stream, **more
            )
            if stream:
                said = litellm.stream_chunk_builder(list(said))
            message = said.choices[0].message
            found.append(message)
            usages.append(said.usage)
            messages.append(message.model_dump())
            for call in message.tool_calls or ():
                messages.append({"role": "tool", "tool_call_id": call.id, "content": "def search(): ..."})
        seen = model.requests_seen
    call = found[0].tool_calls[0].function
    assert call.name == "bash"
    assert json.loads(call.arguments) == {"command": "cat search.py", "why": "cat search.py"}
    assert found[0].content == "I read it."
    assert found[1].content == "It is faster now."
    assert not found[1].tool_calls
    assert [one.turn for one in seen] == [0, 1]
    assert [one.ended for one in seen] == ["whole", "whole"]
    billed = [(one.billed.input, one.billed.output) for one in seen if one.billed]
    assert billed == [(usage.prompt_tokens, usage.completion_tokens) for usage in usages]
    assert billed[1][0] == count(json.dumps(seen[1].body, ensure_ascii=False))


@pytest.mark.parametrize("stream", [False, True])
def test_openais_own_client_reads_responses(stream: bool) -> None:
    import openai

    tools: Any = [{"type": "function", "name": "exec_command", "parameters": EXEC, "strict": False}]
    given: Any = [{"role": "user", "content": [{"type": "input_text", "text": TASK}]}]
    said = []
    with ScriptedModel([Script(turns=TURNS)]) as model:
        client = openai.OpenAI(base_url=f"{model.url}/v1", api_key="x", max_retries=0)
        for _ in TURNS:
            if stream:
                with client.responses.stream(model="scripted", input=given, tools=tools) as events:
                    answer: Any = events.get_final_response()
            else:
                answer = client.responses.create(model="scripted", input=given, tools=tools)
            said.append(answer)
            given = given + [item.model_dump(exclude_none=True) for item in answer.output]
            given += [
                {"type": "function_call_output", "call_id": item.call_id, "output": "..."}
                for item in answer.output
                if item.type == "function_call"
            ]
        billed = [seen.billed for seen in model.requests_seen]
    assert [item.type for item in said[0].output] == ["message", "function_call"]
    assert json.loads(said[0].output[1].arguments) == {"cmd": "cat search.py"}
    assert said[1].output_text == "It is faster now."
    assert [(one.usage.input_tokens, one.usage.output_tokens) for one in said] == [
        (one.input, one.output) for one in billed if one
    ]


def test_a_request_that_is_sent_again_gets_the_same_turn_and_faults_happen_as_often_as_they_say() -> None:
    turn = Turn(run="ls", faults=(Fault(status=529, times=2, retry_after_s=0.5), Fault(nonsense=True)))
    with ScriptedModel([Script(turns=(turn,))]) as model:
        answers = [anthropic(model) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [529, 529, 200, 200, 200]
    assert answers[0].json()["error"]["type"] == "overloaded_error"
    assert answers[0].headers["retry-after"] == "0.5"
    with pytest.raises(json.JSONDecodeError):
        answers[2].json()
    assert answers[3].json()["content"][0]["input"]["command"] == "ls"
    assert [seen.billed is None for seen in model.requests_seen] == [True, True, True, False, False]


def test_a_fault_may_last_for_a_time() -> None:
    turn = Turn(run="ls", faults=(Fault(status=429, for_s=0.3),))
    with ScriptedModel([Script(turns=(turn,))]) as model:
        assert anthropic(model).status_code == 429
        assert anthropic(model).status_code == 429
        time.sleep(0.35)
        assert anthropic(model).status_code == 200


def test_a_cut_answer_breaks_off_and_its_prompt_is_billed() -> None:
    turn = Turn(finish="one two three four five six seven eight nine ten " * 20, faults=(Fault(cut=True),))
    with ScriptedModel([Script(turns=(turn,))]) as model:
        with pytest.raises(httpx.RemoteProtocolError):
            anthropic(model, stream=True)
        with pytest.raises(httpx.RemoteProtocolError):
            chat(model, stream=False, model="other")
        whole = anthropic(model)
    cut, other, last = model.requests_seen
    assert (cut.ended, other.ended, last.ended) == ("cut", "cut", "whole")
    assert cut.billed is not None
    assert cut.told is not None
    assert 0 < cut.billed.output < whole.json()["usage"]["output_tokens"]
    assert cut.told.output == 1  # what the first event says
    assert other.told is None


def test_who_hangs_ends_when_the_server_does() -> None:
    started = time.monotonic()
    script = Script(turns=(Turn(run="ls", faults=(Fault(hang_s=60),)),))
    with ScriptedModel([script]) as model, pytest.raises(httpx.ReadTimeout):
        httpx.post(
                f"{model.url}/v1/messages", timeout=0.3,
                json={"model": "m", "messages": [{"role": "user", "content": TASK}],
                      "tools": [{"name": "Bash", "input_schema": BASH}]},
            )  # fmt: skip
    assert time.monotonic() - started < 30


def test_a_stream_tells_its_usage_only_where_it_is_asked_to() -> None:
    with ScriptedModel([Script(turns=(Turn(finish="Done."),))]) as model:
        silent = chat(model, stream=True).text
        telling = chat(model, stream=True, stream_options={"include_usage": True}).text
    assert "usage" not in silent
    assert '"prompt_tokens"' in telling
    first, second = model.requests_seen
    assert first.told is None
    assert second.told == second.billed
    assert model.usage == (first.billed or Billed()) + (second.billed or Billed())
    assert model.told == second.billed


def test_bills_may_be_given() -> None:
    turn = Turn.model_validate(
        {"finish": "ok", "usage": {"input": 1000, "cache_read": 600, "cache_write": 300, "output": 50, "reasoning": 20}}
    )
    with ScriptedModel([Script(turns=(turn,))]) as model:
        usage = anthropic(model).json()["usage"]
        other = chat(model).json()["usage"]
    assert usage == {
        "input_tokens": 100, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 600, "output_tokens": 50,
    }  # fmt: skip
    assert other["prompt_tokens"] == 1000
    assert other["completion_tokens_details"] == {"reasoning_tokens": 20}
    assert model.usage == Billed(input=2000, cache_read=1200, cache_write=600, output=100, reasoning=40)


def test_scripts_are_chosen_by_task_and_model_and_side_requests_take_no_turn() -> None:
    scripts = [
        Script(when="other thing", turns=(Turn(finish="other"),)),
        Script(model="weak", turns=(Turn(finish="weak"),)),
        Script(model="m", turns=(Turn(finish="strong"),), side="a title"),
    ]
    with ScriptedModel(scripts) as model:
        other = anthropic(model, [{"role": "user", "content": "do the other thing"}])
        weak = anthropic(model, model="weak")
        title = anthropic(model, tools=[])
        strong = anthropic(model)
        nobody = anthropic(model, model="unknown")
        names = [item["id"] for item in httpx.get(f"{model.url}/v1/models").json()["data"]]
    said = [answer.json()["content"][0]["text"] for answer in (other, weak, title, strong)]
    assert said == ["other", "weak", "a title", "strong"]
    assert nobody.status_code == 400
    assert "no script fits model 'unknown'" in nobody.json()["error"]["message"]
    assert names == ["m", "weak"]


def test_tasks_end_in_the_agents_own_way() -> None:
    done = {"name": "task_done", "input_schema": {"type": "object", "properties": {"note": {}}, "required": ["note"]}}
    submit = f"{TASK} End with `echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT`."
    with ScriptedModel([Script(turns=(Turn(finish="It is faster."),))]) as model:
        by_tool = anthropic(model, tools=[done]).json()["content"]
        by_command = anthropic(model, [{"role": "user", "content": submit}]).json()["content"]
    assert by_tool[1]["name"] == "task_done"
    assert by_tool[1]["input"] == {"note": "It is faster."}
    assert by_command[1]["input"]["command"] == "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


def test_what_cannot_be_answered_is_said_in_the_protocols_own_form() -> None:
    with ScriptedModel([Script(turns=(Turn(run="ls"),))]) as model:
        no_tool = anthropic(model, tools=[{"name": "Edit", "input_schema": {}}])
        no_request = httpx.post(f"{model.url}/v1/responses", json={"model": "m"})
        no_path = httpx.post(f"{model.url}/v2/other", json={})
        counted = httpx.post(f"{model.url}/v1/messages/count_tokens", json={"model": "m", "messages": []})
        head = httpx.head(model.url)
    assert "offers no tool that does: Edit" in no_tool.json()["error"]["message"]
    assert no_request.status_code == 400
    assert no_path.status_code == 404
    assert counted.json() == {"input_tokens": count(counted.request.content.decode()) + 1}  # read, with its spaces
    assert head.status_code == 200
    assert model.usage == Billed()


def test_a_limit_on_the_answer_holds() -> None:
    with ScriptedModel([Script(turns=(Turn(finish="word " * 100),))]) as model:
        answer = anthropic(model, max_tokens=10).json()
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"]["output_tokens"] == 10


def test_a_tool_by_its_name_and_a_unix_socket(tmp_path: Path) -> None:
    edit = Call(name="Edit", arguments={"file": "a.py"})
    with ScriptedModel([Script(turns=(Turn(call=edit),))], path=tmp_path / "model.sock"):
        client = httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "model.sock")))
        body = {"model": "m", "messages": [{"role": "user", "content": TASK}],
                "tools": [{"name": "Edit", "input_schema": {}}]}  # fmt: skip
        said = client.post("http://model/v1/messages", json=body).json()["content"][0]
    assert (said["name"], said["input"]) == ("Edit", {"file": "a.py"})


def test_a_file_of_scripts_is_read_and_its_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("- when: faster\n  turns:\n  - {run: ls, faults: [{status: 529, times: 2}]}\n  - finish: Done.\n")
    assert read_scripts(path) == [
        Script(when="faster", turns=(Turn(run="ls", faults=(Fault(status=529, times=2),)), Turn(finish="Done.")))
    ]
    path.write_text("- turns: [{run: ls, finish: both}]\n")
    with pytest.raises(ScriptError, match=r"script.yaml: 0.turns.0: .*a turn has one of: run, call, finish"):
        read_scripts(path)
    with pytest.raises(ScriptError, match="cannot be read"):
        read_scripts(tmp_path / "none.yaml")
