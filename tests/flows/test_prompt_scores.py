"""Prompts are scored with a model behind a server on this machine, on commits of the demo."""

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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """Answers what the demo's files answer."""
    found = ChatServer()

    def react(handler: Any) -> None:
        says(demo_answer(found.requests[-1]["messages"]))(handler)

    found.script = [react]
    yield found
    found.close()


def test_a_model_is_scored_on_commits_with_checked_answers(tmp_path: Path, server: ChatServer) -> None:
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
    command = [sys.executable, "-m", "tests.benchmarks.prompt_scores", "--store", tmp_path / "stores"]
    command += ["--cases", tmp_path / "cases.yaml", "--prompts", other, "--model", "openai/gpt-4o-mini"]
    command += ["--set", f"llm.api_base={server.url}", "--json", tmp_path / "rows.json"]
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment() | {"OPENAI_API_KEY": "sk-loopback-0123456789"},
        capture_output=True, text=True, timeout=350, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = json.loads((tmp_path / "rows.json").read_text())
    assert (row["commits"], row["classified"], row["classified as labelled"]) == (2, 2, 1)
    assert (row["performance taken for none"], row["none taken for performance"]) == (1, 0)
    assert (row["commits with checked APIs"], row["first API is a good one"]) == (1, 1)
    assert row["accepted"] >= 1
    assert row["commits with an accepted one"] == 1
    assert row["statements"] == 1
    assert row["of which the first answer leaked"] == 1
    assert row["tokens in"] > row["tokens out"] > 0
    systems = {body["messages"][0]["content"].split("\n")[0] for body in server.requests}
    assert any(text.startswith("You weigh commits") for text in systems)
    assert not any(text.startswith("You judge commits") for text in systems)
