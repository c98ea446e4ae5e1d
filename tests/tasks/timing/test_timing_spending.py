"""Repeated looks: bounds against published ones and against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tasks.timing.alpha_spending import level, looks, spent


def bounds(marks: list[int], most: int, alpha: float = 0.05) -> list[float]:
    return [float(norm.ppf((1 + level(marks[: n + 1], most, 1 - alpha, False)) / 2)) for n in range(len(marks))]


def test_looks_grow_by_half():
    assert looks(8, 60) == [8, 12, 18, 27, 40, 60]
    assert looks(3, 3) == [3]
    assert looks(10, 4) == [4]


@given(st.integers(1, 50), st.integers(1, 200))
def test_looks_end_at_the_last_round_and_rise(first, last):
    found = looks(first, last)
    assert found[-1] == last
    assert found == sorted(set(found))


def test_a_single_look_has_all_the_error():
    assert level([60], 60, 0.95, False) == pytest.approx(0.95)
    assert level([3], 60, 0.95, True) == pytest.approx(0.95)
    assert spent(1.0, 0.05) == pytest.approx(0.05)


def test_bounds_are_those_of_the_literature():
    """Five equal looks, two-sided 0.05, Lan and DeMets' function of Pocock's type, as the R package ldbounds prints."""
    found = bounds([1, 2, 3, 4, 5], 5)
    assert found == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=0.006)


@pytest.mark.parametrize("taken", [6, 3])
def test_the_looks_together_err_with_alpha_also_if_the_clock_ends_them_early(taken):
    marks = looks(8, 60)[:taken]
    levels = [level(marks[: n + 1], 60, 0.95, n == taken - 1) for n in range(taken)]
    limits = norm.ppf((1 + np.array(levels)) / 2)
    sums = np.random.default_rng(1).normal(size=(60_000, marks[-1])).cumsum(axis=1)
    scores = np.abs(sums[:, np.array(marks) - 1]) / np.sqrt(marks)
    assert (scores > limits).any(axis=1).mean() == pytest.approx(0.05, abs=0.004)
