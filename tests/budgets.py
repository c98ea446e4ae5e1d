"""What each part of the suite may take of a push's 12 minutes, and a line after the run for each that took more.

A test's share of the run is its duration times the part of the room that it takes (`tests/turns.py`): one that runs
alone keeps all workers from working. Nothing fails here: how fast a machine is decides no test.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.turns import Kind, part_of_room

BUDGETS: Mapping[str, float] = MappingProxyType(
    {
        "flows/test_demo.py": 3.8,
        "flows": 1.8,
        "hacks": 1.3,
        "tasks/agents": 0.5,
        "tasks/environments": 0.5,
        "tasks/mining": 0.4,
        "tasks/perftests": 0.6,
        "tasks/sandbox": 0.6,
        "tasks/timing": 0.8,
        "tasks": 0.4,
        "": 0.3,
    }
)
"""Folder or file of tests -> minutes of a push's run; the longest name that fits counts."""
TOTAL = 12.0
"""Minutes of a push's run."""
BEFORE = 1.0
"""Minutes of it for installing, lint, types and finding the tests."""


def part_of(node: str) -> str:
    """The part of the suite that a test such as `tests/flows/test_cli.py::test_x` belongs to."""
    path = node.partition("::")[0].removeprefix("tests/")
    return max((part for part in BUDGETS if not part or f"{path}/".startswith(f"{part}/")), key=len)


class Spent:
    """Minutes of the run that each part took."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.minutes: dict[str, float] = defaultdict(float)

    def add(self, node: str, marks: Mapping[str, object], seconds: float) -> None:
        """One phase of a test."""
        kind: Kind = "exclusive" if "exclusive" in marks else "quiet" if "quiet" in marks else "other"
        self.minutes[part_of(node)] += seconds / 60 * part_of_room(kind, self.workers)

    def lines(self) -> list[str]:
        """One for each part that took time, those over their budget with a word."""
        return [
            f"{self.minutes[part]:5.1f} of {budget:.1f} min  tests/{part}"
            + ("  OVER BUDGET" if self.minutes[part] > budget else "")
            for part, budget in BUDGETS.items()
            if self.minutes[part]
        ]


SPENT = pytest.StashKey[Spent]()


def pytest_configure(config: pytest.Config) -> None:
    """Only the process that sees all tests sums them up."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        spent = Spent(workers=config.getoption("numprocesses", None) or 1)
        config.stash[SPENT] = spent
        config.pluginmanager.register(_Listener(spent))


class _Listener:
    def __init__(self, spent: Spent) -> None:
        self._spent = spent

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._spent.add(report.nodeid, report.keywords, report.duration)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table, after a run by several workers: how a push's minutes are spent."""
    spent = config.stash.get(SPENT, None)
    if spent is not None and spent.workers > 1:
        terminalreporter.section("minutes of the run, by part")
        for line in spent.lines():
            terminalreporter.line(line)
        if config.getoption("thorough"):
            terminalreporter.line("(budgets are for a push; this run left nothing out)")
