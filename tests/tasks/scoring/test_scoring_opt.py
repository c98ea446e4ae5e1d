"""Opt@K by hand and against exhaustive enumeration; what is not known is not told."""

import itertools

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.tables import OptAtK, Score
from tasks.scoring.bounded_mean import mean_interval
from tasks.scoring.opt import at_least_one, opt_at_k

WORDS = {"y": ("ok", "yes"), "n": ("ok", "no"), "?": ("ok", "inconclusive"), "-": ("not_timed", "inconclusive")}


@given(st.integers(1, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_the_estimator_is_the_share_of_draws_with_a_success(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert at_least_one(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_too_few_attempts_do_not_tell():
    with pytest.raises(ValueError, match="2 attempts do not tell what 3 would do"):
        at_least_one(2, 1, 3)


def answers(model: str, weak: str = "", **by_instance: str) -> list[Score]:
    """`a="yn?-"`: four samples of instance a, the last never timed; `weak` names instances without tests."""
    return [
        Score(
            prediction_id=f"{model}-{instance}-{sample}", run_id="r", instance_id=instance, model=model, sample=sample,
            status=WORDS[letter][0], correct=True, speedup_base=None, speedup_human=None, ci_low=None, ci_high=None,
            opt_base="no", opt_human=WORDS[letter][1], weakly_checked=instance in weak,
        )
        for instance, letters in by_instance.items()
        for sample, letter in enumerate(letters)
    ]  # fmt: skip


def told(scores: list[Score], instances: str, ks: list[int]) -> dict[tuple[str, int], OptAtK]:
    return {(row.model, row.k): row for row in opt_at_k("r", scores, list(instances), ks)}


def test_opt_at_k_by_hand():
    scores = answers("good", a="yyy", b="ynn", c="n?n") + answers("poor", a="nnn", b="nnn", c="nnn")
    rows = told(scores, "abc", [1, 2, 3])
    assert rows["good", 1].opt == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert rows["good", 2].opt == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert rows["good", 3].opt == pytest.approx(2 / 3)
    assert rows["good", 1].opt_if_inconclusive_yes == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert rows["good", 1].opt_if_inconclusive_no == rows["good", 1].opt
    assert (rows["good", 1].n_instances, rows["good", 1].n_samples) == (3, 9)
    assert (rows["good", 1].ci_low, rows["good", 1].ci_high) == mean_interval([0, 1 / 3, 1], [1, 1, 1])
    assert (rows["poor", 3].opt, rows["poor", 3].ci_low) == (0, 0)
    assert rows["poor", 3].ci_high == pytest.approx(
        1 - 0.025 ** (1 / 3)
    )  # three instances do not show that none can be
    assert next(iter(rows)) == ("good", 1)


def test_more_attempts_than_there_are_is_not_known():
    rows = told(answers("m", a="yn", b="nn"), "ab", [2, 3])
    assert rows["m", 2].opt == 0.5
    unknown = rows["m", 3]
    assert {unknown.opt, unknown.ci_low, unknown.opt_if_inconclusive_no, unknown.opt_if_inconclusive_yes} == {None}
    assert (unknown.n_instances, unknown.n_left_out) == (0, 2)
    assert unknown.reason == "needs 3 attempts at an instance, and none of 2 has more than 2"


def test_instances_with_fewer_attempts_are_left_out_and_counted():
    rows = told(answers("m", a="ynn", b="y", c="nnn"), "abc", [1, 3])
    assert rows["m", 1].opt == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert (rows["m", 3].opt, rows["m", 3].n_instances, rows["m", 3].n_left_out, rows["m", 3].n_missing) == (
        0.5,
        2,
        1,
        2,
    )


def test_what_was_not_attempted_is_not_solved():
    row = told(answers("m", a="yy") + answers("other", a="nn", b="nn"), "ab", [1])["m", 1]
    assert (row.opt, row.n_instances, row.n_unattempted, row.n_missing, row.n_samples) == (0.5, 2, 1, 2, 2)


def test_what_was_not_timed_is_no_attempt():
    rows = told(answers("m", a="y-", b="nn", c="--"), "abc", [1, 2])
    assert (rows["m", 1].opt, rows["m", 1].opt_if_inconclusive_yes) == (0.5, 0.5)
    assert (rows["m", 1].n_instances, rows["m", 1].n_left_out, rows["m", 1].n_not_timed) == (2, 1, 3)
    assert (rows["m", 2].opt, rows["m", 2].n_instances, rows["m", 2].n_left_out) == (0.0, 1, 2)
    nothing = told(answers("m", a="-", b="-"), "ab", [1])["m", 1]
    assert (nothing.opt, nothing.opt_if_inconclusive_yes, nothing.n_not_timed) == (None, None, 2)
    assert nothing.reason == "none of the attempts at 2 instances could be timed"


def test_it_is_told_without_the_weakly_checked_as_well():
    row = told(answers("m", weak="bd", a="n", b="y", c="y") + answers("other", weak="bd", d="n"), "abcd", [1])["m", 1]
    assert (row.opt, row.n_instances) == (0.5, 4)
    assert (row.opt_checked, row.n_checked) == (0.5, 2)
    assert (row.checked_ci_low, row.checked_ci_high) == mean_interval([0, 1], [1, 1])
    all_weak = told(answers("m", weak="a", a="y"), "a", [1])["m", 1]
    assert (all_weak.opt, all_weak.opt_checked, all_weak.n_checked) == (1.0, None, 0)


def test_a_frame_of_strangers_is_enough():
    frame = pl.DataFrame(
        {"model": ["m", "m"], "instance_id": ["a", "b"], "status": ["ok", "ok"], "opt_human": ["yes", "no"]}
    )
    (row,) = opt_at_k("r", frame, ["a", "b"], [1])
    assert (row.opt, row.n_checked) == (0.5, 0)


@given(st.lists(st.text("yn?-", min_size=0, max_size=4), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_what_is_known_rises_with_k_over_the_same_instances_and_stays_between_its_bounds(letters):
    names = "abcdef"[: len(letters)]
    rows = opt_at_k("r", answers("m", **dict(zip(names, letters, strict=True))), names, range(1, 5))
    for row in rows:
        assert row.n_instances + row.n_left_out == (
            len(names) if row.opt is not None else len(names) - row.n_unattempted
        )
        assert (row.opt is None) == bool(row.reason)
        if row.opt is not None:
            assert 0 <= row.ci_low <= row.opt + 1e-6
            assert row.opt <= min(row.ci_high + 1e-6, row.opt_if_inconclusive_yes + 1e-12)
    for one, more in itertools.pairwise(rows):
        if more.opt is not None and one.n_left_out == more.n_left_out:
            assert more.opt >= one.opt - 1e-12
