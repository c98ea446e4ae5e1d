"""On a real server a failed run posts to a webhook, known faults do not, and a run that does not end is cancelled."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Failed, Running
from prefect.testing.utilities import prefect_test_harness

from deployments import automations


@pytest.fixture
def posted() -> Iterator[tuple[str, Queue[dict[str, str]]]]:
    """URL of a webhook, and what is posted there."""
    found: Queue[dict[str, str]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", found
        server.shutdown()


@pytest.mark.slow
def test_a_failed_run_notifies_and_a_stuck_one_is_cancelled(
    posted: tuple[str, Queue[dict[str, str]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, found = posted
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with prefect_test_harness(server_startup_timeout=120):
        assert automations.main(["--webhook", url]) == 0
        assert automations.main(["--webhook", url, "--stuck-after-h", "0.003"]) == 0  # replaces the first

        @flow(name="refresh")
        def refresh(known: bool) -> object:
            return Failed(name="KnownFaults" if known else "Failed", message="2 items met a fault: timing a, timing b")

        with get_client(sync_client=True) as client:
            assert len(client.request("POST", "/automations/filter", json={}).json()) == 2
            refresh(True, return_state=True)
            refresh(False, return_state=True)
            told = found.get(timeout=60)
            assert told["subject"] == "Failed: refresh"
            assert "2 items met a fault" in told["body"]
            stuck = client.create_flow_run(refresh, parameters={"known": False}, state=Running())
            deadline = time.monotonic() + 90
            while (state := client.read_flow_run(stuck.id).state) and state.is_running():
                assert time.monotonic() < deadline, "a stuck run is not cancelled"
                time.sleep(0.5)
            assert state is not None
            assert state.name in ("Cancelling", "Cancelled")
        with pytest.raises(Empty):
            found.get(timeout=1)  # neither known faults nor the cancelled run tell anybody


def test_what_is_made_names_the_recipes() -> None:
    from flows.agents import run_agents
    from flows.dataset import build_dataset
    from flows.evaluation import evaluate
    from flows.refresh import refresh
    from flows.sweep import sweep

    assert {one.name for one in (run_agents, build_dataset, evaluate, refresh, sweep)} == set(automations.RECIPES)
    from uuid import uuid4

    notify, cancel = automations.automations(uuid4(), timedelta(hours=1))
    assert (notify.name, cancel.name) == (automations.FAILED, automations.STUCK)
