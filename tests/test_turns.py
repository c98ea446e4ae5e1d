"""The turns that workers of a test run take: exclusive ones are alone, the others need not be."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests import turns


@pytest.fixture(autouse=True)
def a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_CHECKOUT", "test-of-turns")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")


def in_threads(*tasks: Callable[[], None]) -> None:
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_other_tests_run_at_once() -> None:
    together = threading.Barrier(2, timeout=30)

    def share() -> None:
        with turns.turn(exclusive=False):
            together.wait()

    in_threads(share, share)
    assert not together.broken


def test_an_exclusive_test_runs_alone() -> None:
    inside: list[bool] = []
    company: list[int] = []

    def take(exclusive: bool) -> None:
        for _ in range(20):
            with turns.turn(exclusive):
                inside.append(exclusive)
                if exclusive:
                    company.append(len(inside))
                inside.pop()

    in_threads(*(lambda exclusive=exclusive: take(exclusive) for exclusive in (True, True, False, False)))
    assert company == [1] * 40
