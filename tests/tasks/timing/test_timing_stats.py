"""Statistics against scipy, hand-computed cases, and simulated timings whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from tasks.timing.alpha_spending import level
from tasks.timing.protocols.planning import plan
from tasks.timing.stats import (
    PROCESS_SD,
    interval,
    mean_speedup,
    median_interval,
    process_error,
    ratio_of_means,
    signed_rank_interval,
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


SETS = st.lists(arrays(np.float64, st.integers(1, 9), elements=st.floats(-2, 2)), min_size=1, max_size=5).filter(
    lambda sets: sum(map(len, sets)) > 1
)


@given(SETS)
@settings(max_examples=60, deadline=None)
def test_an_interval_holds_its_estimate_and_turns_around_with_the_arms(sets):
    found, inverse = interval(sets, 0.95), interval([-part for part in sets], 0.95)
    assert found is not None
    assert inverse is not None
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(math.exp(np.median(np.concatenate(sets))))
    assert inverse.ratio == pytest.approx(1 / found.ratio)
    assert inverse.low == pytest.approx(1 / found.high)
    assert inverse.high == pytest.approx(1 / found.low)


@given(SETS, st.integers(0, 2**32 - 1), st.floats(-3, 3))
@settings(max_examples=60, deadline=None)
def test_order_of_rounds_and_sets_and_the_unit_of_time_do_not_matter(sets, seed, shift):
    """A factor on one arm's times moves the estimate and both ends by that factor."""
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(part) + shift for part in sets]
    rng.shuffle(shuffled)
    one, other = interval(sets, 0.9), interval(shuffled, 0.9)
    assert one is not None
    assert other is not None
    for name in ("ratio", "low", "high"):
        assert getattr(other, name) == pytest.approx(getattr(one, name) * math.exp(shift), rel=1e-6)


@given(SETS, st.floats(0.5, 0.998), st.floats(1e-4, 0.4))
@settings(max_examples=80, deadline=None)
def test_more_confidence_never_narrows(sets, confidence, more):
    narrow, wide = interval(sets, confidence), interval(sets, min(0.9999, confidence + more))
    assert narrow is not None
    assert wide is not None
    assert wide.low <= narrow.low * (1 + 1e-9)
    assert wide.high >= narrow.high * (1 - 1e-9)


def test_one_round_says_nothing():
    assert interval([np.array([0.1])], 0.95) is None
    assert interval([], 0.95) is None


def test_more_rounds_narrow():
    rng = np.random.default_rng(1)
    sets = [rng.normal(0.2, 0.05, 40) for _ in range(3)]

    def width(part):
        found = interval(part, 0.95)
        assert found is not None
        return math.log(found.high / found.low)

    assert width([part[:6] for part in sets]) > width(sets)


def test_the_median_interval_by_hand():
    """The whole range of 8 values holds the median with probability 1 - 2/256, the second to seventh 1 - 18/256."""
    values = np.array([5.0, 1, 8, 2, 7, 3, 6, 4])
    assert median_interval(values, 1 - 2 / 256) == pytest.approx((4.5, 1, 8))
    assert median_interval(values, 1 - 18 / 256) == pytest.approx((4.5, 2, 7))
    centre, low, high = median_interval(values, 0.95)
    assert (centre, low + high) == pytest.approx((4.5, 9))
    assert 1 < low < 2


def test_two_values_have_the_usual_t_interval():
    values = np.array([0.1, 0.5])
    expected = scipy_stats.t.interval(0.95, 1, loc=0.3, scale=scipy_stats.sem(values))
    assert median_interval(values, 0.95)[1:] == pytest.approx(expected)


@given(arrays(np.float64, st.integers(2, 60), elements=st.floats(-5, 5)), st.floats(0.6, 0.999))
@settings(max_examples=80, deadline=None)
def test_order_statistics_agree_with_scipys_sign_test(values, confidence):
    """The next wider pair of order statistics that scipy's binomial gives for the level encloses the interval."""
    count = len(values)
    depth = int(scipy_stats.binom.ppf((1 - confidence) / 2, count, 0.5))
    if 2 * scipy_stats.binom.cdf(depth - 1, count, 0.5) > 1 - confidence or depth < 1:
        return  # not even the whole range would do
    ordered = np.sort(values)
    _, low, high = median_interval(values, confidence)
    assert low >= ordered[depth - 1] - 1e-12
    assert high <= ordered[count - depth] + 1e-12


@pytest.mark.parametrize("count", [2, 3, 5, 8, 9, 18, 41])
def test_the_median_interval_holds_the_truth_as_often_as_it_says_also_with_wild_rounds(count):
    """A quarter of the rounds is ten times as noisy."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(800):
        wild = rng.random(count) < 0.25
        _, low, high = median_interval(np.where(wild, rng.normal(0, 0.3, count), rng.normal(0, 0.03, count)), 0.95)
        hits += low <= 0 <= high
    assert 0.92 <= hits / 800 <= 0.98


def test_processes_that_differ_widen():
    alike, apart = ([np.array([0, 0.01, 0.02]) + shift * index for index in range(4)] for shift in (0, 0.1))
    assert process_error(apart, 0.95) > 3 * process_error(alike, 0.95)
    assert process_error([np.array([0.1]), np.array([0.3])], 0.95) == 0


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


def test_false_verdicts_under_repeated_looks_stay_below_alpha():
    """Sessions at exactly 1.0x that are looked at up to 6 times: few intervals ever exclude the truth."""
    rng = np.random.default_rng(11)
    blocks = plan(8, 60, 3)
    wrong = 0
    for _ in range(150):
        sets = []
        excluded = False
        marks = []
        for block in blocks:
            marks.append(sum(block) + (marks[-1] if marks else 0))
            sets += [_session(rng, 0.0, 1, rounds, 0.01, 0.03)[0] for rounds in block]
            found = interval(sets, level(marks, 60, 0.95, final=False))
            excluded |= not found.low <= 1 <= found.high
        wrong += excluded
    assert wrong / 150 <= 0.05


def test_ratio_of_means_is_gsos():
    found = ratio_of_means(np.array([2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0]), 0.95)
    assert found is not None
    assert found.ratio == 1.5
    assert found.low < 1.5 < found.high
    assert ratio_of_means(np.array([1.0]), np.array([1.0, 2.0]), 0.95) is None


def test_the_signed_rank_interval_holds_what_its_test_does_not_reject():
    """Against scipy's exact test: a shift inside the interval is not rejected at 5 %, one outside is."""
    values = np.random.default_rng(1).normal(0.3, 1, 15)
    centre, low, high = signed_rank_interval(values, 0.95)
    assert low < centre < high
    for shift, held in ((low - 1e-6, False), (low + 1e-6, True), (high - 1e-6, True), (high + 1e-6, False)):
        assert (scipy_stats.wilcoxon(values - shift, method="exact").pvalue >= 0.05) == held


def test_the_signed_rank_interval_covers_and_is_narrower_than_the_medians():
    rng = np.random.default_rng(2)
    held, widths = 0, np.zeros(2)
    for _ in range(2000):
        values = rng.normal(0, 1, 12)
        _, low, high = signed_rank_interval(values, 0.95)
        held += low <= 0 <= high
        _, *median = median_interval(values, 0.95)
        widths += [high - low, median[1] - median[0]]
    assert 0.94 <= held / 2000 <= 0.97
    assert widths[0] < 0.95 * widths[1]


def test_few_values_have_the_medians_interval():
    values = np.array([0.1, 0.2, 0.4])
    assert signed_rank_interval(values, 0.95) == median_interval(values, 0.95)
