"""When a temporary Prefect server is started, and what is done while it makes its database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.engine import server


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What happens, in order; a process stands in for the server, since only the order is asked for."""
    found: list[str] = []

    class Started:
        variables = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}  # noqa: RUF012

        def __init__(self, folder: Path) -> None:
            found.append("started")

        def wait(self) -> None:
            found.append("answers")

        def stop(self) -> None:
            found.append("stopped")

    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "no-profiles.toml"))
    monkeypatch.setattr(server, "Server", Started)
    monkeypatch.setattr(server.surroundings, "take_no_settings_from_here", lambda: None)
    return found


def enter(folder: Path, events: list[str]) -> None:
    with server.prefect_server(folder, first=lambda: events.append("first")):
        events.append("flow")


def test_what_a_first_run_needs_is_loaded_while_the_database_is_made(events: list[str], tmp_path: Path) -> None:
    enter(tmp_path, events)
    assert events == ["started", "first", "answers", "flow", "stopped"]
    assert "PREFECT_API_URL" not in os.environ


def test_a_later_run_does_not_load_it(events: list[str], tmp_path: Path) -> None:
    (tmp_path / server.DATABASE).touch()
    enter(tmp_path, events)
    assert events == ["started", "answers", "flow", "stopped"]


def test_with_a_server_of_the_users_none_is_started(
    events: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    enter(tmp_path, events)
    assert events == ["flow"]


def test_it_ends_with_the_context_also_by_an_error(events: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of the flow"), server.prefect_server(tmp_path):
        raise ValueError("of the flow")
    assert events[-1] == "stopped"
