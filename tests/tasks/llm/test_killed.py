"""kill -9 at many points of a paid run: nothing that arrived is paid for twice, and table `llm_calls` has the bill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from storage.store import Store
from storage.tables import LlmCall
from tasks.llm.buying import LOST
from tests.tasks.llm.loopback import GOOD, ChatServer, says

ROOT = Path(__file__).parents[3]
PRICE = 1000 * 0.15e-6 + 100 * 0.6e-6
"""Of each answer of the server, in US dollars: it always counts the same tokens."""
KEPT = [
    ("tasks.llm.cache:ReplyCache", "put", "after"),
    ("tasks.llm.buying", "record", "before"),
    ("tasks.llm.buying", "record", "after"),
    ("tasks.llm.sent:Sent", "booked", "before"),
    ("tasks.llm.sent:Sent", "booked", "after"),
    ("tasks.llm.structured_output", "parse_answer", "before"),
]
"""The answer is on disk."""
UNDER_WAY = [
    ("tasks.llm.sent:Sent", "begin", "before"),
    ("tasks.llm.sent:Sent", "begin", "after"),
    ("tasks.llm.client", "request", "after"),
    ("tasks.llm.cache:ReplyCache", "put", "before"),
]
"""It is not: the request is sent again."""
POINTS = [*((*point, 1) for point in KEPT + UNDER_WAY), *((*point, 3) for point in KEPT + UNDER_WAY)]
FEW = [(*KEPT[0], 1), (*KEPT[3], 3), (*UNDER_WAY[2], 2)]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    def react(handler: BaseHTTPRequestHandler) -> None:
        messages = handler.body["messages"]  # type: ignore[attr-defined]
        bad = "badly" in messages[1]["content"] and len(messages) == 2
        says('{"name": "blue"}' if bad else GOOD)(handler)

    found = ChatServer()
    found.script = [react]
    yield found
    found.close()


@pytest.fixture
def nursery(tmp_path: Path, server: ChatServer) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.tasks.llm.killed", str(tmp_path / "store"), server.url]
    variables = os.environ | {"OPENAI_API_KEY": "sk-loopback-0123456789abcdef"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdin=pipe, stdout=pipe, text=True) as found:
        yield found
        assert found.stdin
        found.stdin.close()


def run(nursery: subprocess.Popen[str], point: tuple[str, str, str, int] | None) -> int:
    """Exit status of a child; -9 when it was killed."""
    assert nursery.stdin
    assert nursery.stdout
    nursery.stdin.write((" ".join(map(str, point)) if point else "") + "\n")
    nursery.stdin.flush()
    return int(nursery.stdout.readline())


@pytest.mark.parametrize(
    "points",
    [FEW, pytest.param(POINTS, marks=[pytest.mark.thorough, pytest.mark.slow, pytest.mark.timeout(1500)])],
    ids=["few", "twenty"],
)
def test_a_killed_run_pays_nothing_twice(
    points: list[tuple[str, str, str, int]], server: ChatServer, nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    for number, point in enumerate(points):
        server.requests.clear()
        before = {row.call_id for row in store.rows(LlmCall)}
        for path in (tmp_path / "store" / ".cache" / "llm").rglob("*.json"):
            path.unlink()  # each point begins with nothing kept
        assert run(nursery, point) == -9, point
        assert run(nursery, None) == 0, point

        sent = Counter(json.dumps(body) for body in server.requests)
        rows = [row for row in store.rows(LlmCall) if row.call_id not in before]
        paid = [row for row in rows if not row.cached and row.outcome != LOST]
        lost = [row for row in rows if row.outcome == LOST]
        assert len({row.request_key for row in paid}) == len(paid) == 4, point
        # `answered` stays where the process died before it looked at the answer, which then came from the cache
        assert {row.outcome.partition(":")[0] for row in paid} <= {"ok", "invalid", "answered"}, point
        assert sum(row.cost_usd for row in paid) == pytest.approx(4 * PRICE)
        unanswered = point[1] == "begin"  # it was never sent, and nobody knows
        assert len(server.requests) + unanswered * (point[2] == "after") == len(paid) + len(lost), point
        assert all(row.cost_usd >= PRICE for row in lost)
        if point[:3] in KEPT:
            assert (max(sent.values()), len(lost)) == (1, 0), point
        else:
            assert len(lost) == (point[2] == "after" or point[1] == "put"), (number, point)
