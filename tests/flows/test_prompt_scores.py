"""Prompts are scored on commits of the demo: by batch files up to the perf tests, then by a server on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.demo.build import build_demo_repository
from configs.demo.truth import load_expected
from tasks.llm import prompts
from tasks.llm.demo import demo_answer
from tests.flows.conftest import environment
from tests.tasks.llm.loopback import ChatServer, says

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(400)]  # a push has test_asking.py

ROOT = Path(__file__).parents[2]
ROUNDS = """
import json
import sys
from pathlib import Path

from tasks.llm.demo import demo_answer
from tests.benchmarks.prompt_scores import main

batch, arguments = Path(sys.argv[1]), sys.argv[2:]
for turn in range(3):
    main([*arguments, "--batch", str(batch)])
    asked = [json.loads(line) for line in (batch / "requests-demo.jsonl").read_text().splitlines()]
    answers = [{"custom_id": line["custom_id"], "text": demo_answer(line["body"]["messages"])} for line in asked]
    lines = ["this is not JSON", *map(json.dumps, answers)] if turn < 2 else []
    (batch / "answers-demo.jsonl").write_text("\\n".join(lines))
    print("open:", sorted(line["body"]["messages"][1]["content"].splitlines()[0] for line in asked))
main(arguments)
"""


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """Answers what the demo's files answer."""
    found = ChatServer()

    def react(handler: Any) -> None:
        says(demo_answer(handler.body["messages"]))(handler)

    found.script = [react]
    yield found
    found.close()


def test_a_model_is_scored_by_batch_file_and_by_asking_it(
    tmp_path: Path, chat: ChatServer, server: dict[str, str]
) -> None:
    build_demo_repository(tmp_path / "logkit")
    grouping = next(change.sha for change in load_expected().changes if change.instance == "grouping")
    refused = next(change.sha for change in load_expected().changes if change.stage == "classify")
    config: dict[str, Any] = {
        "repository": {"name": "isobench-demo/logkit", "url": str(tmp_path / "logkit")},
        "mining": {"max_candidates": 1},
        "llm": {"model": "openai/gpt-4o-mini", "max_concurrency": 1},
        "environment": {"install_project": False, "pin_to_date": False},
        "perf_tests": {"sources": ["llm"], "tests_per_commit": 1, "further_requests": 0, "screen_rounds": 0},
    }
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(config))
    commits = {
        grouping: {"is_performance": True, "apis": ["logkit.group_by_source"]},
        refused: {"is_performance": True},  # the model disagrees with this label
    }
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump([{"config": "demo.yaml", "commits": commits}]))
    other = tmp_path / "prompts"
    other.mkdir()
    for path in prompts.FOLDER.glob("*.j2"):
        (other / path.name).write_text(path.read_text().replace("You judge commits", "You weigh commits"))
    command = [sys.executable, "-c", ROUNDS, tmp_path / "batch", "--store", tmp_path / "stores"]
    command += ["--cases", tmp_path / "cases.yaml", "--prompts", other, "--model", "openai/gpt-4o-mini"]
    command += ["--set", f"llm.api_base={chat.url}", "--json", tmp_path / "rows.json"]
    variables = environment() | server | {"OPENAI_API_KEY": "sk-loopback-0123456789"}
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=350,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # nothing is sent while answers come from files, and what they answered is not asked again
    assert [line for line in done.stdout.splitlines() if line.startswith("open: ")] == [
        "open: ['task: classify', 'task: classify']",
        "open: ['task: rank_apis']",
        "open: ['task: perf_test']",
    ]
    assert "answers-demo.jsonl:1: not JSON" in done.stdout
    tasks = [body["messages"][1]["content"].splitlines()[0] for body in chat.requests]
    assert set(tasks) == {"task: perf_test", "task: statement"}
    [row] = json.loads((tmp_path / "rows.json").read_text())
    assert (row["commits"], row["classified"], row["classified as labelled"]) == (2, 2, 1)
    assert (row["performance taken for none"], row["none taken for performance"]) == (1, 0)
    assert (row["commits with checked APIs"], row["first API is a good one"]) == (1, 1)
    assert row["accepted"] >= 1
    assert row["commits with an accepted one"] == 1
    assert row["statements"] == 1
    assert row["of which the first answer leaked"] == 1
    assert row["tokens in"] > row["tokens out"] > 0
    texts = [path.read_text() for path in (tmp_path / "stores").rglob("requests/*/*.json")]
    assert any("You weigh commits" in text for text in texts)
    assert not any("You judge commits" in text for text in texts)
