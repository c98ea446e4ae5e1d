"""The turns that workers of a test run take: exclusive ones are alone, quiet ones in pairs, the others need not be."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests import turns


@pytest.fixture(autouse=True)
def a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_CHECKOUT", "test-of-turns")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")


def in_threads(*tasks: Callable[[], None]) -> None:
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("kinds", [("other",) * 3, ("quiet", "other")])
def test_other_tests_run_at_once(kinds: tuple[turns.Kind, ...]) -> None:
    together = threading.Barrier(len(kinds), timeout=30)

    def share(kind: turns.Kind) -> None:
        with turns.turn(kind):
            together.wait()

    in_threads(*(lambda kind=kind: share(kind) for kind in kinds))
    assert not together.broken


@pytest.mark.parametrize(("kind", "most"), [("exclusive", 1), ("quiet", 2)])
def test_who_measures_has_no_more_company_than_it_bears(kind: turns.Kind, most: int) -> None:
    inside: list[turns.Kind] = []
    company: list[int] = []

    def take(mine: turns.Kind) -> None:
        for _ in range(20):
            with turns.turn(mine):
                inside.append(mine)
                if kind in inside:
                    company.append(len(inside))
                inside.pop()

    in_threads(*(lambda mine=mine: take(mine) for mine in (kind, kind, "other", "other")))
    assert len(company) >= 40
    assert max(company) <= most
