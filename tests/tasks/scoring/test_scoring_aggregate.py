"""Means over perf tests and Opt@K, by hand and against scipy and exhaustive enumeration."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from storage.tables import Score
from tasks.scoring.aggregate import Speedup, combine
from tasks.scoring.opt import at_least_one, opt_at_k


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


@given(st.integers(1, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_the_estimator_is_the_share_of_draws_with_a_success(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert at_least_one(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_missing_attempts_count_as_failures():
    assert at_least_one(2, 1, 3) == 1.0  # three attempts, one of them a success
    assert at_least_one(2, 0, 3) == 0.0
    assert at_least_one(0, 0, 1) == 0.0


def answers(model: str, **by_instance: str) -> list[Score]:
    """`a="yn?"`: three samples of instance a."""
    words = {"y": "yes", "n": "no", "?": "inconclusive"}
    return [
        Score(
            prediction_id=f"{model}-{instance}-{sample}", run_id="r", instance_id=instance, model=model, sample=sample,
            status="ok", correct=True, speedup_base=None, speedup_human=None, ci_low=None, ci_high=None, opt_base="no",
            opt_human=words[letter],
        )
        for instance, letters in by_instance.items()
        for sample, letter in enumerate(letters)
    ]  # fmt: skip


def test_opt_at_k_by_hand():
    scores = answers("good", a="yyy", b="ynn", c="n?n") + answers("poor", a="nnn")
    rows = {(row.model, row.k): row for row in opt_at_k("r", scores, ["a", "b", "c"], [1, 2, 3], 500)}
    assert rows["good", 1].opt == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert rows["good", 2].opt == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert rows["good", 3].opt == pytest.approx(2 / 3)
    assert rows["good", 1].opt_if_inconclusive_yes == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert rows["good", 1].opt_if_inconclusive_no == rows["good", 1].opt
    assert rows["poor", 3].opt == 0
    assert (rows["poor", 1].n_instances, rows["poor", 1].n_samples) == (3, 3)
    for row in rows.values():
        assert row.ci_low <= row.opt <= row.ci_high
    assert next(iter(rows)) == ("good", 1)


@given(st.lists(st.text("yn?", min_size=0, max_size=4), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_opt_at_k_rises_with_k_and_stays_between_its_bounds(letters):
    names = [f"i{index}" for index in range(len(letters))]
    scores = answers("m", **dict(zip(names, letters, strict=True)))
    rows = opt_at_k("r", scores, names, range(1, 5), 200)
    for row in rows:
        assert 0 <= row.opt_if_inconclusive_no == row.opt <= row.opt_if_inconclusive_yes <= 1
    for one, more in itertools.pairwise(rows):
        assert more.opt >= one.opt - 1e-12
