"""Means over perf tests, by hand and against scipy."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from tasks.scoring.aggregate import Speedup, both, combine


def around(ratio: float, spread: float = 1.05) -> Speedup:
    return Speedup(ratio, ratio / spread, ratio * spread)


RATIOS = st.lists(st.floats(0.1, 50), min_size=1, max_size=12)


@given(RATIOS)
@settings(max_examples=40, deadline=None)
def test_means_agree_with_scipy_and_lie_in_their_interval(ratios):
    for kind, reference in (("geometric", scipy_stats.gmean), ("harmonic", scipy_stats.hmean)):
        found = combine([around(ratio) for ratio in ratios], kind)
        assert found.ratio == pytest.approx(reference(ratios))
        assert found.low <= found.ratio <= found.high


def test_one_test_keeps_its_own_interval():
    assert combine([Speedup(1.3, 1.1, 1.6)]) == Speedup(1.3, 1.1, 1.6)


def test_the_interval_of_the_geometric_mean_shrinks_with_the_root_of_the_number_of_tests():
    one, many = around(2.0), combine([around(2.0)] * 9)
    assert math.log(many.high / many.low) == pytest.approx(math.log(one.high / one.low) / 3, rel=0.05)


@given(st.lists(st.tuples(st.floats(0.95, 1.2), st.floats(1, 1.1), st.floats(1, 4)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_every_test_reaches_surely_their_mean_reaches(tests):
    found = combine([Speedup(low * up, low, low * up * more) for low, up, more in tests], "harmonic")
    assert found.verdict(min(low for low, _, _ in tests) * 0.999) == "yes"


def test_no_tests_is_an_error():
    with pytest.raises(ValueError, match="no perf tests"):
        combine([])


@pytest.mark.parametrize(("low", "high", "answer"), [(0.95, 1, "yes"), (0.9, 1, "inconclusive"), (0.8, 0.94, "no")])
def test_the_whole_interval_decides(low, high, answer):
    assert Speedup(0.95, low, high).verdict(0.95) == answer


@pytest.mark.parametrize(("low", "high", "answer"), [(1.01, 2, "yes"), (1.0, 2, "inconclusive"), (0.9, 1.0, "no")])
def test_above_is_strict(low, high, answer):
    assert Speedup(1.0, low, high).above(1.0) == answer


def test_two_answers_are_one_only_where_neither_says_no():
    assert [both("yes", "yes"), both("yes", "inconclusive"), both("inconclusive", "no")] == [
        "yes",
        "inconclusive",
        "no",
    ]
