"""Statistics against scipy, hand-computed cases, and simulated timings whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from tasks.timing.protocol import plan
from tasks.timing.stats import (
    PROCESS_SD,
    draws,
    interval,
    level_per_look,
    looks,
    mean_speedup,
    ratio_of_means,
    slowdown_share,
)

SPEEDUPS = arrays(np.float64, st.integers(1, 30), elements=st.floats(0.01, 100))


@given(SPEEDUPS)
@settings(max_examples=80, deadline=None)
def test_means_agree_with_scipy_and_keep_their_order(values):
    kinds = ("geometric", "harmonic", "arithmetic")
    geometric, harmonic, arithmetic = (float(mean_speedup(values, kind)) for kind in kinds)
    assert geometric == pytest.approx(scipy_stats.gmean(values))
    assert harmonic == pytest.approx(scipy_stats.hmean(values))
    assert arithmetic == pytest.approx(values.mean())
    assert harmonic <= geometric * (1 + 1e-9) <= arithmetic * (1 + 2e-9)


def test_means_by_hand():
    values = np.array([1.0, 4.0])
    assert [float(mean_speedup(values, kind)) for kind in ("geometric", "harmonic", "arithmetic")] == [2.0, 1.6, 2.5]
    assert mean_speedup(np.ones((3, 2)), "harmonic").tolist() == [1, 1, 1]
    assert slowdown_share(np.array([0.5, 1.0, 2.0, 0.9])) == 0.5


@given(st.lists(arrays(np.float64, st.integers(1, 9), elements=st.floats(-2, 2)), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_an_interval_holds_its_estimate_and_turns_around(sets):
    found = interval(sets, 0.95)
    if sum(map(len, sets)) < 2:
        assert found is None
        return
    assert found is not None
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(math.exp(np.median(np.concatenate(sets))))
    inverse = interval([-part for part in sets], 0.95)
    assert inverse is not None
    assert inverse.ratio == pytest.approx(1 / found.ratio)


def test_more_confidence_and_less_data_widen():
    rng = np.random.default_rng(1)
    sets = [rng.normal(0.2, 0.05, 10) for _ in range(3)]

    def width(part, confidence):
        found = interval(part, confidence)
        return math.log(found.high / found.low)

    assert width(sets, 0.99) > width(sets, 0.95) > width(sets, 0.8)
    assert width([part[:3] for part in sets], 0.95) > width(sets, 0.95)


def test_identical_rounds_are_no_proof_of_precision():
    """Even without any noise between rounds, processes may differ: the interval keeps that width."""
    found = interval([np.full(5, 0.1), np.full(5, 0.1)], 0.95)
    assert found is not None
    assert math.log(found.high / found.low) > PROCESS_SD


def _session(rng, truth, sets, rounds, process_sd, round_sd):
    return [truth + rng.normal(0, process_sd) + rng.standard_t(3, rounds) * round_sd for _ in range(sets)]


@pytest.mark.parametrize(
    ("sets", "rounds", "process_sd", "round_sd"),
    [(3, 3, 0.0, 0.05), (3, 3, 0.01, 0.02), (2, 4, 0.01, 0.1), (5, 6, 0.01, 0.03), (1, 5, 0.01, 0.05),
     (8, 1, 0.02, 0.02), (3, 20, 0.01, 0.03)],
)  # fmt: skip
def test_coverage_is_close_to_nominal(sets, rounds, process_sd, round_sd):
    """Of 300 simulated sessions with heavy-tailed noise, a 95 % interval holds the truth in 89 % at least."""
    rng = np.random.default_rng(7)
    truth = math.log(1.3)
    hits = 0
    for _ in range(300):
        found = interval(_session(rng, truth, sets, rounds, process_sd, round_sd), 0.95)
        hits += found.low <= 1.3 <= found.high
    assert hits / 300 >= 0.89


def test_outliers_do_not_move_the_estimate():
    sets = [np.array([0.2, 0.21, 0.19, 0.2, 3.0]), np.array([0.2, 0.2, -2.0, 0.21, 0.19])]
    found = interval(sets, 0.95)
    assert found is not None
    assert found.ratio == pytest.approx(math.exp(0.2), rel=0.01)


def test_draws_repeat_with_their_seed():
    sets = [np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.3])]
    one, same = (draws(sets, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, same)


def test_looks_grow_by_half_and_share_the_error():
    assert looks(8, 60) == [8, 12, 18, 27, 40, 60]
    assert looks(3, 3) == [3]
    assert looks(10, 4) == [4]
    assert level_per_look(0.95, 5) == pytest.approx(0.99)
    assert level_per_look(0.95, 1) == pytest.approx(0.95)


@given(st.integers(1, 50), st.integers(1, 200))
def test_looks_end_at_the_last_round_and_rise(first, last):
    found = looks(first, last)
    assert found[-1] == last
    assert found == sorted(set(found))


def test_false_verdicts_under_repeated_looks_stay_below_alpha():
    """Sessions at exactly 1.0x that are looked at up to 6 times: few intervals ever exclude the truth."""
    rng = np.random.default_rng(11)
    blocks = plan(8, 60, 3)
    level = level_per_look(0.95, len(blocks))
    wrong = 0
    for _ in range(150):
        sets = []
        excluded = False
        for block in blocks:
            sets += [_session(rng, 0.0, 1, rounds, 0.01, 0.03)[0] for rounds in block]
            found = interval(sets, level)
            excluded |= not found.low <= 1 <= found.high
        wrong += excluded
    assert wrong / 150 <= 0.05


def test_ratio_of_means_is_gsos():
    found = ratio_of_means(np.array([2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0]), 0.95)
    assert found is not None
    assert found.ratio == 1.5
    assert found.low < 1.5 < found.high
    assert ratio_of_means(np.array([1.0]), np.array([1.0, 2.0]), 0.95) is None
