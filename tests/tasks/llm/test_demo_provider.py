from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from configs.models import LLMConfig
from storage.store import Store
from tasks.llm import LlmError, Prompt, ask, demo
from tasks.llm.demo import DemoHasNoAnswer, demo_answer

SHA = "abcdef0123456789abcdef0123456789abcdef01"


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cut.txt").write_text('{"keep": tr')
    (tmp_path / "keep.json").write_text('{"keep": true}')
    (tmp_path / "script.py").write_text("def setup(seed): ...\n")
    (tmp_path / "index.yaml").write_text(
        "- {task: classify, commit: abcdef0, file: cut.txt}\n"
        "- {task: classify, commit: abcdef0, attempt: 2, file: keep.json}\n"
        "- task: perf_test\n"
        "  subject: 'Mask at once (#9)'\n"
        "  tests: [{name: mask, api: kit.mask, script_file: script.py}]\n"
    )
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    return tmp_path


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_answers_by_task_commit_and_attempt(answers: Path) -> None:
    first = [user(f"task: classify\ncommit: {SHA}\n")]
    assert demo_answer(first, answers) == '{"keep": tr'
    again = [*first, {"role": "assistant", "content": "x"}, user("repair")]
    assert demo_answer(again, answers) == '{"keep": true}'


def test_scripts_are_written_as_json(answers: Path) -> None:
    text = demo_answer([user(f"task: perf_test\ncommit: {SHA}\nsubject: Mask at once (#9)\n")], answers)
    assert json.loads(text) == {"tests": [{"name": "mask", "api": "kit.mask", "script": "def setup(seed): ...\n"}]}


@pytest.mark.parametrize(
    "prompt", ["no marks at all", f"task: classify\ncommit: {'0' * 40}", f"task: rank\ncommit: {SHA}"]
)
def test_an_unknown_prompt_is_an_error(answers: Path, prompt: str) -> None:
    with pytest.raises(DemoHasNoAnswer, match="the demo has no answer"):
        demo_answer([user(prompt)], answers)


def test_the_answers_we_ship_can_all_be_read() -> None:
    for entry in demo._index(demo.FOLDER).answers:
        assert entry.text(demo.FOLDER).strip()


class Kept(BaseModel):
    keep: bool


def test_a_structured_answer_with_the_repair_turn(answers: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    llm = LLMConfig(model=demo.MODEL, budget_usd=0)
    prompt = Prompt("classify", 1, "", f"task: classify\ncommit: {SHA}\n", "5a")
    answer = ask(llm, prompt, Kept, store=store, repo="o/r", stage="mining", item=SHA)
    assert (answer.value.keep, answer.attempts, answer.cost_usd) == (True, 2, 0)
    unknown = Prompt("classify", 1, "", "task: classify\ncommit: 0000000\n", "5b")
    with pytest.raises(LlmError, match="the demo has no answer for task 'classify'") as caught:
        ask(llm, unknown, Kept, store=store, repo="o/r", stage="mining", item="0000000")
    assert not caught.value.transient
