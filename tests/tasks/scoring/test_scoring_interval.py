"""The interval of a mean of values between 0 and 1: exact where that can be enumerated, nothing by chance."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.scoring.bounded_mean import mean_interval
from tests.benchmarks.opt_at_k_coverage import RATES, Rates, bootstrapped, clopper_pearson, values

Method = Callable[[Sequence[float], Sequence[int]], tuple[float, float]]
ENUMERATED = ((5, 1, 1), (20, 1, 1), (60, 1, 1), (5, 4, 1), (5, 5, 2), (12, 2, 1), (5, 5, 5), (60, 10, 10))
"""Instances, attempts, K."""


@pytest.mark.parametrize("n", [1, 2, 5, 102, 1000])
def test_of_zeros_and_ones_it_is_that_of_clopper_and_pearson(n):
    for c in {0, 1, n // 3, n - 1, n}:
        low, high = mean_interval([0.0, 1.0], [n - c, c])
        exact = stats.binomtest(c, n).proportion_ci(method="exact")
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_none_of_102_is_known_to_be_below_the_rule_of_three_and_a_bit():
    assert mean_interval([0.0], [102]) == (0.0, pytest.approx(1 - 0.025 ** (1 / 102)))


VALUES = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 30)), min_size=1, max_size=6)


@given(VALUES)
@settings(max_examples=30, deadline=None)
def test_it_holds_the_mean_has_a_width_and_turns_with_the_values(pairs):
    x, counts = np.array([value for value, _ in pairs]), [count for _, count in pairs]
    low, high = mean_interval(x, counts)
    assert 0 <= low <= np.average(x, weights=counts) + 1e-6
    assert np.average(x, weights=counts) - 1e-6 <= high <= 1
    assert high - low > 0.02
    assert mean_interval(1 - x, counts) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    wider = mean_interval(x, counts, 0.99)
    assert wider[0] <= low + 1e-9
    assert wider[1] >= high - 1e-9


def test_values_in_between_say_more_than_zeros_and_ones():
    low, high = mean_interval([0.4, 0.6], [10, 10])
    exact_low, exact_high = mean_interval([0.0, 1.0], [10, 10])
    assert high - low < 0.6 * (exact_high - exact_low)


@pytest.mark.parametrize(("x", "counts"), [([], []), ([0.5], [0]), ([-0.1], [3]), ([1.1], [3])])
def test_what_is_no_share_is_an_error(x, counts):
    with pytest.raises(ValueError, match="values between 0 and 1"):
        mean_interval(x, counts)


def played(method: Method) -> list[tuple[float, float]]:
    """(coverage, mean width over Clopper and Pearson's) of every cell, over all outcomes with their probability."""
    found = []
    for n, attempts, k in ENUMERATED:
        x, same = np.unique(values(attempts, k), return_inverse=True)
        outcomes = np.array(list(compositions(n, len(x))))
        low, high = np.array([method(x, outcome) for outcome in outcomes]).T
        found += [cell(n, k, rates, attempts, same, outcomes, low, high) for rates in RATES]
    return found


def cell(n: int, k: int, rates: Rates, attempts: int, same, outcomes, low, high) -> tuple[float, float]:
    share = np.bincount(same, weights=rates.successes(attempts))
    chance, truth = stats.multinomial.pmf(outcomes, n, share), rates.truth(k)
    holds = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
    return float(chance @ holds), float(chance @ (high - low)) / clopper_pearson(n, truth)


def compositions(n: int, parts: int):
    """All ways to put n instances into so many kinds."""
    for bars in itertools.combinations(range(n + parts - 1), parts - 1):
        edges = (-1, *bars, n + parts - 1)
        yield [right - left - 1 for left, right in itertools.pairwise(edges)]


def test_it_covers_in_every_cell_and_is_hardly_wider_than_the_exact_one():
    coverage, width = np.array(played(mean_interval)).T
    assert len(coverage) == len(ENUMERATED) * len(RATES)
    assert coverage.min() >= 0.95 - 1e-6
    assert width.max() <= 1.1


def test_an_interval_that_says_nothing_and_the_bootstrap_do_not_pass():
    _, width = np.array(played(lambda x, counts: (0.0, 1.0))).T
    assert width.max() > 1.15
    rng = np.random.default_rng(0)
    coverage, _ = np.array(played(lambda x, counts: bootstrapped(x, counts, 200, rng))).T
    assert coverage.min() < 0.5
