from __future__ import annotations

import threading

import pytest

from tasks.llm import limits
from tasks.llm.limits import Pace


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, _: threading.Condition, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False


def use(pace: Pace, booked: int, used: int | None = None) -> None:
    with pace.book(booked) as entry:
        if used is not None:
            entry[1] = used


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> tuple[Pace, Clock]:
    clock = Clock()
    found = Pace(1000)
    monkeypatch.setattr(limits.time, "monotonic", clock.monotonic)
    monkeypatch.setattr(found._turn, "wait", lambda seconds: clock.wait(found._turn, seconds))
    return found, clock


def test_what_fits_goes_at_once(pace: tuple[Pace, Clock]) -> None:
    for _ in range(4):
        use(pace[0], 250)
    assert pace[1].waits == []


def test_what_does_not_fit_waits_until_enough_of_the_minute_is_over(pace: tuple[Pace, Clock]) -> None:
    use(pace[0], 400)
    pace[1].now += 20
    use(pace[0], 500)
    use(pace[0], 450)
    assert pace[1].waits == [40]  # the first 400 leave the window 60 s after they were booked
    use(pace[0], 100)
    assert pace[1].waits == [40, 20]


def test_tokens_that_were_not_used_count_for_nothing(pace: tuple[Pace, Clock]) -> None:
    use(pace[0], 900, used=100)
    use(pace[0], 900)
    assert pace[1].waits == []


def test_a_request_larger_than_a_minute_waits_for_an_empty_one(pace: tuple[Pace, Clock]) -> None:
    use(pace[0], 5000)
    use(pace[0], 5000)
    assert pace[1].waits == [60]
