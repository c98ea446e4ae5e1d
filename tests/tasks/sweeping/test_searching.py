"""The search for the change where a test steps down, on histories with known times."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tasks.sweeping.searching import Search, Span, code_changes, corrected, windows


def search(times: list[float | None], min_step: float = 1.2) -> tuple[list[Span], int]:
    """Steps found in one window over commits that take so long (None: cannot be timed), and how many were timed."""
    first, last = times[0], times[-1]
    assert first is not None
    assert last is not None
    found, timed = Search(min_step), 0
    found.begin(Span(0, len(times) - 1), first / last)
    while found.pending:
        span, ratio = found.pending.pop()
        middle = found.middle(span)
        assert middle is not None
        start, at = times[span.first], times[middle]
        assert start is not None
        timed += 1
        found.answer(span, ratio, middle, start / at if at is not None else None)
    return sorted((span for span, _ in found.steps), key=lambda span: span.first), timed


@pytest.mark.parametrize("at", range(1, 33))
def test_one_step_is_found_wherever_it_is_by_halving(at: int) -> None:
    steps, timed = search([2.0] * at + [1.0] * (33 - at))
    assert steps == [Span(at - 1, at)]
    assert timed <= 6


def test_two_steps_of_one_window_are_both_found() -> None:
    steps, _ = search([4.0] * 5 + [2.0] * 10 + [1.0] * 10)
    assert steps == [Span(4, 5), Span(14, 15)]


def test_a_gradual_gain_gives_no_step() -> None:
    steps, _ = search([1.02**-number for number in range(33)])
    assert steps == []


def test_a_commit_that_cannot_be_timed_is_passed_by() -> None:
    steps, _ = search([2.0, 2.0, 2.0, 2.0, None, 1.0, 1.0, 1.0, 1.0])
    assert steps == [Span(3, 5)], "one of the two changes after the last commit that is slow"


def test_where_nothing_between_can_be_timed_the_span_is_what_is_known() -> None:
    steps, timed = search([2.0, *[None] * 15, 1.0])
    assert steps == [Span(0, 16)]
    assert timed <= 3


def test_windows_cover_the_history_without_gaps_newest_first() -> None:
    found = windows(101, 32, 20)
    assert (found[0].last, found[-1].first) == (100, 0)
    assert all(newer.first == older.last for newer, older in pairwise(found))
    assert windows(101, 32, 2) == found[:2]
    assert windows(1, 32, 20) == windows(0, 32, 20) == []


def test_the_base_of_the_first_change_stays_though_it_touches_no_code() -> None:
    assert code_changes(["a", "b", "c", "d"], [False, False, True, False]) == ["a", "c"]


def test_confidence_is_corrected_for_all_comparisons() -> None:
    assert corrected(0.95, 100) == pytest.approx(0.9995)
    assert corrected(0.95, 0) == 0.95
