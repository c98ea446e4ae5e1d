"""What agents really left, read: `left/<agent>/<how it went>/` was recorded with the scripted model, and shortened."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from configs.agent_files import load_agent
from tasks.agents.installed.atif import MAX_CHARACTERS, bounded, bounded_values
from tasks.agents.installed.reading import Left, newest, read
from tasks.agents.installed.told import Told

LEFT = Path(__file__).parent / "left"
SOLVED = sorted(folder.parent.name for folder in LEFT.glob("*/solved"))
STEPS = ["cat greeting.py", "sed -i s/hello/goodbye/ greeting.py && git diff --stat"]


def told(agent: str, how: str) -> Told:
    folder = LEFT / agent / how
    return read(load_agent(agent), folder / "out", folder / "printed.log")


def command(arguments: dict[str, Any]) -> str:
    return str(arguments.get("command") or arguments.get("cmd"))


@pytest.mark.parametrize("agent", SOLVED)
def test_a_solved_task_is_told_with_its_steps_calls_and_results(agent: str) -> None:
    found = told(agent, "solved")
    assert found.failed is None
    assert found.steps == 3
    assert found.denied == ()
    assert found.unread == 0
    assert found.trajectory is not None
    acted = [step for step in found.trajectory["steps"] if step["source"] == "agent"]
    assert acted[0]["message"] == "I read the file first."
    assert "greet() returns goodbye now." in acted[-1]["message"]
    calls = [call for step in acted[:2] for call in step["tool_calls"]]
    assert [command(call["arguments"]) for call in calls] == STEPS
    results = [step["observation"]["results"] for step in acted[:2]]
    assert [result[0]["source_call_id"] for result in results] == [call["tool_call_id"] for call in calls]
    assert "def greet():" in results[0][0]["content"]
    assert "1 file changed" in results[1][0]["content"]
    assert [step["step_id"] for step in found.trajectory["steps"]] == list(range(1, len(found.trajectory["steps"]) + 1))


@pytest.mark.parametrize(
    ("agent", "tokens", "stopped"),
    [
        ("claude-code", (57711, 41), "completed"),
        ("codex", (31251, 43), "completed"),
        ("mini-swe-agent", (2840, 57), "Submitted"),
        ("gemini-cli", (37370, 47), "success"),
        ("opencode", (22574, 41), "stop"),
        ("trae", (9403, 52), "success"),
        ("openhands", (24994, 56), "finished"),
    ],
)
def test_tokens_are_those_that_the_model_billed(agent: str, tokens: tuple[int, int], stopped: str) -> None:
    found = told(agent, "solved")
    assert (found.tokens_in, found.tokens_out) == tokens
    assert found.stopped == stopped
    assert found.trajectory is not None
    final = found.trajectory["final_metrics"]
    assert (final["total_prompt_tokens"], final["total_completion_tokens"]) == tokens


def test_every_shipped_reader_has_a_record_of_a_solved_task() -> None:
    from configs.agent_files import shipped

    assert [name for name in shipped() if load_agent(name).reader is not None] == SOLVED


def test_a_denied_edit_is_told_although_the_agent_says_success() -> None:
    found = told("claude-code", "denied")
    assert found.denied == ("Edit",)
    assert found.stopped == "completed"
    assert found.failed is None


@pytest.mark.parametrize("agent", ["claude-code", "codex", "gemini-cli", "opencode"])
def test_a_model_that_refuses_is_told(agent: str) -> None:
    found = told(agent, "refused")
    assert found.failed is not None
    assert "the script says so" in found.failed
    assert not found.steps
    assert found.tokens_in is None


def test_a_limit_of_its_own_is_told_although_the_exit_code_is_0() -> None:
    found = told("mini-swe-agent", "limit")
    assert found.stopped == "LimitsExceeded"
    assert found.failed == "LimitsExceeded"
    assert found.steps == 1


@pytest.mark.parametrize("agent", SOLVED)
def test_a_record_that_breaks_off_never_breaks_reading(agent: str, tmp_path: Path) -> None:
    """As a killed agent leaves it: every prefix of what it wrote, and nothing at all."""
    folder = LEFT / agent / "solved"
    record = newest(folder / "out", load_agent(agent).trajectory) if (folder / "out").exists() else None
    printed = (folder / "printed.log").read_bytes()
    content = (folder / "out" / record).read_bytes() if record else b""
    for share in (0, 0.3, 0.7, 0.999):
        out = tmp_path / str(share)
        (out / (record or "x")).parent.mkdir(parents=True)
        (out / (record or "x")).write_bytes(content[: int(len(content) * share)])
        log = tmp_path / f"{share}.log"
        log.write_bytes(printed[: int(len(printed) * share)])
        found = read(load_agent(agent), out, log)
        assert found.failed is not None or share == 0.999
    assert read(load_agent(agent), tmp_path / "nowhere", tmp_path / "no.log").failed is not None


@pytest.mark.parametrize("agent", SOLVED)
@pytest.mark.parametrize("wrong", [None, 7, "text", [], {}, -1, 1e400, True])
def test_values_of_other_kinds_never_break_reading(agent: str, wrong: Any, tmp_path: Path) -> None:
    """Every value of every line in turn is of another kind: what is read is a `Told`, and numbers in it are numbers."""
    folder = LEFT / agent / "solved"
    record = newest(folder / "out", load_agent(agent).trajectory) if (folder / "out").exists() else None
    source = folder / "out" / record if record else folder / "printed.log"
    lines = source.read_text().splitlines() if source.suffix in (".jsonl", ".log") else [source.read_text()]
    spoilt = [
        json.dumps({**json.loads(line), name: wrong})
        for line in lines
        if line.startswith("{")
        for name in json.loads(line)
    ]
    out, log = tmp_path / "out", tmp_path / "printed.log"
    target = out / record if record else log
    target.parent.mkdir(parents=True, exist_ok=True)
    out.mkdir(exist_ok=True)
    if source.suffix == ".json":
        for text in spoilt:
            target.write_text(text)
            assert isinstance(read(load_agent(agent), out, log), Told)
    else:
        target.write_text("\n".join(spoilt))
        found = read(load_agent(agent), out, log)
        assert found.failed is None or "cannot be read" not in found.failed


def test_a_link_in_the_place_of_a_record_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text((LEFT / "mini-swe-agent/solved/out/trajectory.json").read_text())
    out = tmp_path / "out"
    out.mkdir()
    os.symlink(secret, out / "trajectory.json")
    found = read(load_agent("mini-swe-agent"), out, tmp_path / "no.log")
    assert found.steps is None
    assert found.original is None


def test_the_newest_record_that_fits_is_read(tmp_path: Path) -> None:
    for number, name in enumerate(("a/one.jsonl", "b/two.jsonl", "b/deep/three.jsonl", "b/four.txt")):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    assert newest(tmp_path, "*/*.jsonl") == "b/two.jsonl"
    assert newest(tmp_path, "*.jsonl") is None
    assert newest(tmp_path, None) is None


def test_lines_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    log = tmp_path / "printed.log"
    log.write_text("Warning: something\n[1]\n" + (LEFT / "opencode/solved/printed.log").read_text() + '{"type": "te')
    found = read(load_agent("opencode"), tmp_path, log)
    assert found.steps == 3
    assert found.unread == 3


def test_the_reader_in_the_page_reads(tmp_path: Path) -> None:
    page = Path("docs/how-to/add-an-agent.md").read_text()
    example = next(block for block in page.split("```python\n")[1:] if "def read(" in block).split("```")[0]
    names: dict[str, Any] = {}
    exec(example, names)
    call = {"id": "1", "tool": "bash", "input": {"command": "ls"}}
    lines = [
        {"type": "answer", "text": "I look.", "tokens": 7, "call": call},
        {"type": "result", "call_id": "1", "output": "a.py"},
    ]
    (tmp_path / "record.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = names["read"](Left(tmp_path, tmp_path / "no.log", "record.jsonl"))
    assert found.steps == 1
    assert found.trajectory["steps"][0]["observation"] == {"results": [{"source_call_id": "1", "content": "a.py"}]}
    assert found.trajectory["steps"][0]["metrics"] == {"prompt_tokens": 7}


def test_numbers_that_no_json_file_can_hold_become_texts() -> None:
    assert bounded_values({"a": [float("inf"), 1.5], "b": float("nan")}) == {"a": ["inf", 1.5], "b": "nan"}


def test_endless_texts_are_bounded_and_say_so() -> None:
    text = bounded("x" * (MAX_CHARACTERS + 500) + "\udcff")
    assert len(text) < MAX_CHARACTERS + 100
    assert "501 characters left out" in text
    text.encode()
