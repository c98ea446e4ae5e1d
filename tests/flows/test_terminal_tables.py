"""Tables: narrow where the terminal is, whole where they go to a file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.commands import terminal

SUBJECT = "Merge pull request #810 from james/windowed, which has a long subject and brackets [/b] that mean nothing"
ROWS = [{"sha": "4c7e4e2c7d", "score": 7.1, "reason": "kept: keyword 'optimize' in inner commit", "subject": SUBJECT}]
COUNTS = [
    {"stage": "perftests", "item": "3c2e408aa102", "requests": 12, "from_cache": 1, "tokens_in": 123_456,
     "tokens_out": 3, "cost_usd": 0.5, "a_long_name": 1},
]  # fmt: skip


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    found = io.StringIO()
    console = Console(file=found, width=80, highlight=False, force_terminal=True, no_color=True, color_system=None)
    monkeypatch.setattr(terminal, "out", console)
    return found


def test_a_narrow_terminal_has_one_line_for_each_row(printed: io.StringIO) -> None:
    terminal.table("commits", ROWS, cut=True)
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("│" in line for line in lines) == 1
    assert "Merge pull request" in printed.getvalue()


def test_headers_of_numbers_wrap_before_texts_vanish(printed: io.StringIO) -> None:
    terminal.table("costs", COUNTS)
    assert max(map(len, printed.getvalue().splitlines())) <= 80
    assert "3c2e408aa102" in printed.getvalue()
    assert "123456" in printed.getvalue()


def test_a_file_has_whole_texts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    terminal.table("commits", ROWS, cut=True, widen=True)
    assert SUBJECT in capsys.readouterr().out
