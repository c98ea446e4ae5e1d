"""Other benchmarks' rules: figures worked out by hand from their definitions."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from storage.ids import patch_id
from storage.store import Store
from storage.tables import Comparison, Instance, Measurement, Prediction, Row, Score
from tasks.scoring.rules import formula_code, gso, iso_bench, swe_fficiency, swe_perf
from tasks.scoring.rules.applying import RULES, RuleError, apply
from tasks.scoring.rules.from_store import NoScores

WHEN = datetime(2024, 5, 1, tzinfo=UTC)


def ratios(*rows: tuple[str, str, bool, float | None, float | None, float | None]) -> pl.DataFrame:
    names = ["model", "instance_id", "correct", "speedup_base", "speedup_human", "human_speedup"]
    return pl.DataFrame(rows, schema=names, orient="row")


def flat(*seconds: float) -> list[list[float]]:
    """One test per number, three equal runs each."""
    return [[value] * 3 for value in seconds]


def test_gso_rounds_the_geometric_mean_and_asks_for_a_smaller_mean_time():
    assert gso.beats_base(flat(1.15), flat(1.0))  # rounds to 1.2
    assert not gso.beats_base(flat(1.14), flat(1.0))
    # a geometric mean of 2.24, and yet longer in total
    assert not gso.beats_base(flat(1.0, 1.0), flat(0.1, 2.0))
    assert gso.beats_base([[1.0, 3.0]], [[1.0]])  # means of runs


def test_gso_takes_the_harmonic_mean_beside_the_human_and_is_strict():
    assert not gso.matches_human(flat(2.0), flat(1.0), flat(0.95))
    assert gso.matches_human(flat(2.0), flat(1.0), flat(0.9501))
    # 2 / (1 / 0.5 + 1 / 4) = 0.89, though the arithmetic mean is 2.25 and the geometric one 1.41
    assert not gso.matches_human(flat(3.0, 3.0), flat(1.0, 1.0), flat(0.5, 4.0))
    # as fast as a human who is barely faster than base: enough beside the human, but it does not beat base
    assert not gso.matches_human(flat(1.02), flat(1.0), flat(1.0))


def test_gso_fails_a_patch_whose_tests_fail_and_refuses_tests_that_do_not_match():
    frame = pl.DataFrame(
        {"model": ["m"] * 3, "instance_id": ["a", "b", "b"], "correct": [False, True, True], "base": [flat(2.0)] * 3,
         "patch": [flat(1.0), flat(1.0), flat(1.9)], "human": [flat(1.0)] * 3}
    )  # fmt: skip
    assert gso.score(frame).rows() == [("m", 0.25, 0.25, 2, 3)]
    with pytest.raises(ValueError, match=r"the same tests, not of \[1, 2\]"):
        gso.beats_base(flat(1.0), flat(1.0, 2.0))


def test_speedup_ratio_is_a_harmonic_mean_in_which_failing_is_no_edit():
    frame = ratios(
        ("m", "a", True, 3.0, 1.5, 2.0),  # 1.5
        ("m", "b", False, 9.0, 9.0, 4.0),  # wrong: 1 / 4
        ("m", "c", False, None, None, None),  # nothing known of the expert either: 1
        ("n", "a", True, 50_000.0, 25_000.0, 2.0),  # not capped
    )
    found = {model: (sr, correct) for model, sr, correct, *_ in swe_fficiency.score(frame).iter_rows()}
    assert found["m"] == pytest.approx((3 / (1 / 1.5 + 4 + 1), 1 / 3))
    assert found["n"] == pytest.approx((25_000, 1))


def test_attempts_at_an_instance_weigh_together_as_one():
    once = ratios(("m", "a", True, 2.0, 1.0, 2.0), ("m", "b", True, 1.0, 0.5, 2.0))
    thrice = pl.concat([once, once.head(1), once.head(1)])
    for score in (swe_fficiency.score, formula_code.score, iso_bench.score):
        assert score(thrice).drop("attempts").rows()[0] == pytest.approx(score(once).drop("attempts").rows()[0])
        assert score(thrice)["attempts"].to_list() == [4]


def test_a_gain_is_the_largest_share_that_is_still_significant():
    rng = np.random.default_rng(0)
    base, patch = rng.normal(1.0, 0.02, 20), rng.normal(0.7, 0.02, 20)
    found = swe_perf.gain(base, patch)
    assert 0.25 < found < 0.3
    kept, faster = swe_perf.without_outliers(base), swe_perf.without_outliers(patch)

    def p_value(share: float) -> float:
        return stats.mannwhitneyu(np.array(kept) * (1 - share), faster, alternative="greater").pvalue

    assert p_value(found) < 0.1 <= p_value(found + 0.001)
    assert swe_perf.gain(patch, base) == 0.0
    assert swe_perf.gain(base, base) == 0.0


def test_outliers_are_one_interquartile_range_from_the_quartiles():
    assert swe_perf.without_outliers([1, 2, 3, 4, 5, 6.9]) == [1, 2, 3, 4, 5, 6.9]
    assert swe_perf.without_outliers([1, 2, 3, 4, 5, 8]) == [1, 2, 3, 4, 5]  # quartiles 2.25 and 4.75
    with pytest.raises(ValueError, match="needs runs"):
        swe_perf.gain([], [1.0])


def test_the_gain_of_a_model_counts_failing_tasks_as_nothing():
    base = [[1.0 + n / 1000 for n in range(20)]]
    frame = pl.DataFrame(
        {"model": ["m"] * 2, "instance_id": ["a", "b"], "correct": [True, False], "base": [base] * 2,
         "patch": [[[0.9 + n / 1000 for n in range(20)]]] * 2, "human": [base] * 2}
    )  # fmt: skip
    (found,) = swe_perf.score(frame).rows(named=True)
    assert found["gain"] == pytest.approx(swe_perf.gain(base[0], frame["patch"][0].to_list()[0]) / 2)
    assert (found["human_gain"], found["instances"]) == (0.0, 2)


def test_advantage_is_a_difference_of_geometric_means_by_level():
    workloads = {
        "m.C.f(1)": (2.0, 1.0),
        "m.C.f(2)": (8.0, 1.0),
        "m.g": (1.0, 4.0),
        "n.h": (1.0, 1.0),
        "n.i": (0.0, 1.0),
    }
    assert formula_code.advantage(workloads) == pytest.approx(16**0.25 - 4**0.25)
    assert formula_code.advantage(workloads, 1) == pytest.approx(((16 ** (1 / 3) - 4 ** (1 / 3)) + 0) / 2)
    assert formula_code.advantage(workloads, 2) == pytest.approx((3 + -3 + 0) / 3)
    assert formula_code.advantage({}) == 0.0
    frame = ratios(("m", "a", True, 3.0, 1.5, 2.0), ("m", "b", False, 9.0, 9.0, 4.0))
    (found,) = formula_code.score(frame).rows(named=True)
    assert (found["advantage"], found["speedup"]) == pytest.approx(((1 - 3) / 2, 3**0.5))


@pytest.mark.parametrize(
    ("ratio", "better", "kind"),
    [(1.06, "lower", "beats"), (1.051, "lower", "similar"), (0.953, "lower", "similar"), (0.95, "lower", "worse"),
     (1.051, "higher", "beats"), (0.951, "higher", "similar"), (0.949, "higher", "worse"), (None, "lower", "no data")],
)  # fmt: skip
def test_the_hard_rule_is_five_percent_of_the_humans_value(ratio, better, kind):
    frame = ratios(("m", "a", False, None, ratio, None)).with_columns(better=pl.lit(better))
    frame = frame.cast({"speedup_human": pl.Float64})
    assert frame.select(iso_bench.hard(turned=True)).item() == kind
    shares = iso_bench.score(frame).row(0, named=True)
    assert {name for name in ("hard", "beats", "worse") if shares[name]} == {
        "beats": {"hard", "beats"}, "similar": {"hard"}, "worse": {"worse"}, "no data": set(),
    }[kind]  # fmt: skip


def filled(store: Store) -> Store:
    """Two instances; `m` attempts both, the second with a wrong result, `n` only the first, which nothing timed."""
    rows: list[Row] = []
    for name, model, instance, status, ratio in (
        ("p1", "m", "a", "ok", 1.9), ("p2", "m", "b", "incorrect", None), ("p3", "n", "a", "not_timed", None),
    ):  # fmt: skip
        rows.append(Prediction(prediction_id=name, instance_id=instance, model=model, sample=0, model_patch=name))
        rows.append(
            Score(
                prediction_id=name, run_id="r", instance_id=instance, model=model, sample=0, status=status,
                correct=status == "ok", speedup_base=ratio, speedup_human=ratio and ratio / 2, ci_low=None,
                ci_high=None, opt_base="no", opt_human="no",
            )
        )  # fmt: skip
    arm = f"patch:{patch_id('p1')}"
    for name in ("a", "b"):
        rows.append(
            Instance(
                instance_id=name, repo="o/r", repo_url="", created_at=None, base_commit="b", head_commit="h", patch="d",
                efficiency_test=["x"], human_performance=4.0,
            )
        )  # fmt: skip
    for test in ("t1", "t2"):
        rows.append(
            Comparison(
                session_id=f"s-{test}", test_id=test, arm=arm, against="base", repo="o/r", instance_id="a", status="ok",
                ratio=1.9, ci_low=1.8, ci_high=2.0, verdict="yes", machine_id="m",
            )
        )  # fmt: skip
        for turn, (who, ms) in enumerate([("base", 12), ("human", 9.5), (arm, 10)] * 6):
            rows.append(
                Measurement(
                    session_id=f"s-{test}", test_id=test, arm=who, process=0, round=turn, repo="o/r", cpu_ns=1,
                    wall_ns=int(ms * 3e6), call_ns=ms * 1e6 + turn, number=2, outside_ns=1, order=0, seed=1,
                    correct=True, machine_id="m", started_at=WHEN,
                )
            )  # fmt: skip
    store.append(rows)
    return store


def test_a_run_of_a_store_is_read_by_every_rule(tmp_path: Path):
    store = filled(Store(tmp_path))
    found = {name: {row["model"]: row for row in apply(store, name, "r").iter_rows(named=True)} for name in RULES}
    assert found["swe-fficiency"]["m"]["sr"] == pytest.approx(2 / (1 / 0.95 + 4))
    assert found["formula-code"]["m"]["advantage"] == pytest.approx((1.9 - 2 + 1 - 4) / 2)
    assert found["iso-bench"]["m"]["hard"] == 0.0  # 1 - 1 / 0.95 is 5.3 % slower
    assert found["gso"]["m"] == {"model": "m", "opt_base": 0.5, "opt": 0.0, "instances": 2, "attempts": 2}
    assert found["swe-perf"]["m"]["gain"] == pytest.approx((1 - 10 / 12) / 2, abs=0.002)
    # what was never timed is no attempt, and what was not attempted is no edit
    assert found["swe-fficiency"]["n"] == {"model": "n", "sr": 0.25, "correct": 0.0, "instances": 1, "attempts": 1}


def test_what_cannot_be_read_is_said(tmp_path: Path):
    with pytest.raises(RuleError, match="no rule 'gsp': there are formula-code, gso"):
        apply(ratios(), "gsp")
    with pytest.raises(RuleError, match="the frame lacks base, patch, human"):
        apply(ratios(), "gso")
    with pytest.raises(NoScores, match="no scores; there are none: `isobench evaluate`"):
        apply(Store(tmp_path), "iso-bench")
    store = filled(Store(tmp_path / "store"))
    with pytest.raises(NoScores, match="no scores of run 'x'; there are r"):
        apply(store, "iso-bench", "x")
