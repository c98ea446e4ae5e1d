"""`isobench perftests` with a model: with a key against a server on this machine, stopped and killed; by batch file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from configs.demo.build import build_demo_repository
from flows.cli import app
from storage.store import Store
from storage.tables import LlmCall, PerfTest
from tasks.llm.demo import demo_answer
from tests.flows.conftest import command, environment
from tests.tasks.llm.loopback import ChatServer, error, says

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

ROOT = Path(__file__).parents[2]
SECRET = "sk-loopback-9876543210fedcba"
first_answer = threading.Event()
"""The server's first answer is held back until this is set."""


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """Answers what the demo's files answer; the second request meets a limit first."""
    found = ChatServer()

    def react(handler: Any) -> None:
        number = len(found.requests)
        if number == 1:
            assert first_answer.wait(200)
        if number == 2:
            error(429, "slow down", Retry_After="0.1")(handler)
        else:
            says(demo_answer(handler.body["messages"]))(handler)

    first_answer.clear()
    found.script = [react]
    yield found
    found.close()


@pytest.fixture
def config(tmp_path: Path, chat: ChatServer) -> Path:
    build_demo_repository(tmp_path / "logkit")
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "repository": {"name": "isobench-demo/logkit", "url": str(tmp_path / "logkit")},
                "mining": {"max_candidates": 2},
                "llm": {"model": "openai/gpt-4o-mini", "api_base": chat.url, "max_concurrency": 1},
                "environment": {"install_project": False, "pin_to_date": False},
                "perf_tests": {"sources": ["llm"], "tests_per_commit": 2, "further_requests": 0},
                "store": str(tmp_path / "store"),
            }
        )
    )
    return path


def asked(chat: ChatServer) -> list[str]:
    """What was asked, without what was refused."""
    bodies = [json.dumps(body) for number, body in enumerate(chat.requests, 1) if number != 2]
    return sorted(bodies)


def stopped_while_it_asks(config: Path, chat: ChatServer, variables: dict[str, str]) -> None:
    """Ctrl-C during the first request: its answer is waited for, and the other commit is not asked about."""
    process = subprocess.Popen(
        command("perftests", config), env=variables, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    while not chat.requests and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Waiting for 1 answer" in line:
            first_answer.set()
    assert process.wait(timeout=100) == 130, lines
    assert "the same command goes on from there" in lines[-1], lines
    assert len(chat.requests) == 1
    [row] = Store(config.parent / "store").rows(LlmCall)
    assert (row.outcome, row.cost_usd > 0) == ("ok", True)


def test_with_a_key_stopped_and_killed_and_not_paid_twice(
    config: Path, chat: ChatServer, server: dict[str, str]
) -> None:
    variables = environment() | server | {"OPENAI_API_KEY": SECRET}
    stopped_while_it_asks(config, chat, variables)
    process = subprocess.Popen(
        command("perftests", config), env=variables, start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while len(chat.requests) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(chat.requests) >= 3
    before = asked(chat)

    done = subprocess.run(
        command("perftests", config), env=variables, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = asked(chat)
    # at most the request that was under way when the process died is sent again
    assert len(after) - len(set(after)) <= 1
    assert len(before) < len(after)
    store = Store(config.parent / "store")
    accepted = [row for row in store.rows(PerfTest) if row.status == "accepted"]
    assert len({row.sha for row in accepted}) == 2
    assert all(row.cost_usd > 0 and row.model == "openai/gpt-4o-mini" for row in accepted)
    calls = store.rows(LlmCall)
    assert {row.stage for row in calls} == {"mining", "apis", "perftests"}
    assert all(row.tokens_in == 1000 and row.cost_usd > 0 for row in calls if row.outcome == "ok" and not row.cached)
    leaks = [
        path for path in (config.parent / "store").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert leaks == []
    assert SECRET not in done.stdout + done.stderr


def test_by_batch_files_until_nothing_is_open_whatever_clocks_say(
    config: Path, chat: ChatServer, server: dict[str, str]
) -> None:
    # one process for all commands: each alone takes most of its time to start
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.batch_rounds", str(config.parent)],
        cwd=ROOT, env=environment() | server, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    stages = [line.removeprefix("waiting: ") for line in done.stdout.splitlines() if line.startswith("waiting: ")]
    assert "turns: turn1 turn2" in done.stdout
    assert stages[0] == "classify"
    assert stages[-1] == "perftests"
    store = Store(config.parent / "store")
    accepted = [row for row in store.rows(PerfTest) if row.status == "accepted"]
    assert len({row.sha for row in accepted}) == 2
    assert chat.requests == []
    arguments = ["show", "prompt", accepted[0].sha, "--stage", "perftests", "--store", store.root]
    assert "You write performance tests" in CliRunner().invoke(app, arguments).output
