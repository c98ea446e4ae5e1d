"""From comparisons in a store to instances, scores and Opt@K, through the plain functions behind the doors."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.models import EnvironmentConfig, RepositoryConfig, ScoringConfig
from storage.ids import patch_id
from storage.store import Store
from storage.tables import Commit, Comparison, Instance, Measurement, OptAtK, PerfTest, Prediction, Score
from tasks.scoring.instances import MadeInstance, build_instance
from tasks.scoring.machines import Fingerprints
from tasks.scoring.opt import rank
from tasks.scoring.predictions import Scored, build_scores, score

REPO = "a/b"
SHA = "1234567" + "0" * 33
WHEN = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def comparison(test: str, arm: str = "human", against: str = "base", ratio: float | None = 1.5, **more) -> Comparison:
    spread = more.pop("spread", 1.02)
    values = {
        "status": "ok", "question": 1.2, "verdict": "yes", "machine_id": "m", "n_rounds": 8,
        "ci_low": ratio / spread if ratio else None, "ci_high": ratio * spread if ratio else None,
    }  # fmt: skip
    return Comparison(
        session_id=f"s-{test}", test_id=test, arm=arm, against=against, repo=REPO, ratio=ratio, **{**values, **more}
    )


def perf_test(test: str) -> PerfTest:
    return PerfTest(
        test_id=test, repo=REPO, sha=SHA, api=f"b.{test}", script=f"# {test}", source="seeded", status="accepted"
    )


def measurement(test: str, arm: str, turn: int, **more) -> Measurement:
    values = {"wall_ns": 40_000_000 if arm == "base" else 20_000_000, "number": 2, "warmup": turn == 0}
    return Measurement(
        session_id=f"s-{test}", test_id=test, arm=arm, process=0, round=turn, repo=REPO, cpu_ns=1, outside_ns=1,
        order=0, seed=1, correct=True, machine_id="m", started_at=WHEN, **{**values, **more},
    )  # fmt: skip


def made(store: Store, rows: list[Comparison], scoring: ScoringConfig | None = None) -> MadeInstance:
    commit = Commit(
        repo=REPO, sha=SHA, parent_sha="b" * 40, author_date=WHEN, subject="Speed up", message="Speed up\n\nText",
        pr_number=12, kept=True, reason="keyword: speed up", patch="diff --git a/x b/x\n",
    )  # fmt: skip
    tests = sorted({row.test_id for row in rows})
    store.append([commit, *rows, *map(perf_test, tests)])
    store.append(measurement(test, arm, turn) for test in tests for arm in ("base", "human") for turn in range(3))
    repository = RepositoryConfig(name=REPO, url="/srv/b")
    environment = EnvironmentConfig(install_commands=["make"])
    sessions = [row.session_id for row in rows]
    return build_instance(repository, SHA, environment, scoring or ScoringConfig(), sessions, store)


def test_a_test_whose_result_says_nothing_is_kept_only_if_there_is_no_other(store):
    silent = comparison("t1", ratio=9.0, flags=["results_not_compared"])
    assert made(store, [silent, comparison("t2", ratio=2.0)]).tests == ["t2"]
    assert "t1: left out, its result says nothing about the work" in store.rows(Instance)[0].notes
    assert made(store, [silent]).tests == ["t1"]
    assert store.rows(Instance)[0].results_compared == [False]


def test_an_instance_keeps_all_tests_and_none_for_its_time(store):
    slow = comparison("t3", ratio=1.0, verdict="no")
    broken = comparison("t4", ratio=None, status="error", reason="no")
    found = made(store, [comparison("t1", ratio=1.5), comparison("t2", ratio=6.0), slow, broken])
    assert found.instance_id == "a__b-PR-12"
    assert found.tests == ["t1", "t2", "t3"]
    (row,) = store.rows(Instance)
    assert row.human_performance == pytest.approx(9 ** (1 / 3))
    assert row.human_ci_low < 9 ** (1 / 3) < row.human_ci_high
    assert row.efficiency_test == ["# t1", "# t2", "# t3"]
    assert row.test_functions == ["b.t1", "b.t2", "b.t3"]
    assert [(side.base, side.head) for side in row.duration_changes] == [([0.02] * 2, [0.01] * 2)] * 3
    assert (row.base_commit, row.head_commit, row.created_at) == ("b" * 40, SHA, WHEN)
    assert (row.repo_url, row.install_commands) == ("/srv/b", ["make"])
    assert "t4: left out, error: no" in row.notes
    assert EnvironmentConfig.model_validate_json(row.environment).install_commands == ["make"]


def test_the_first_tests_are_kept_up_to_the_limit_whatever_they_came_to(store):
    rows = [comparison(f"t{number}", ratio=1.5 + number / 10) for number in (3, 0, 5, 1)]
    assert made(store, rows, ScoringConfig(max_tests=2)).tests == ["t3", "t0"]


def test_a_success_that_was_not_confirmed_makes_no_instance(store):
    found = made(store, [comparison("t1", ratio=3.0, verdict="inconclusive"), comparison("t2", ratio=3.0)])
    assert found.reason.startswith("inconclusive: 3.00x")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "no_perf_test"),
        ([comparison("t1", ratio=1.03)], "too_slow: 1.03x [1.01, 1.05]"),
        ([comparison("t1", ratio=1.03), comparison("t2", ratio=1.1)], "too_slow: 1.06x [1.05, 1.08] over 2 perf tests"),
        ([comparison("t1", ratio=1.25, spread=1.2)], "inconclusive: 1.25x [1.04, 1.50]"),
        ([comparison("t1"), comparison("t2", ratio=None, status="incorrect", reason="differs")], "incorrect: differs"),
        ([comparison("t1", ratio=None, status="timeout", reason="run took longer")], "timeout: run took longer"),
        ([comparison("t1", ratio=None, status="error", reason="base: no", flags=["base_failed"])], "error: base: no"),
        ([comparison("t1", ratio=None)], "inconclusive: too few rounds"),
    ],
)  # fmt: skip
def test_what_does_not_hold_has_its_reason(store, rows, reason):
    found = made(store, rows)
    assert (found.instance_id, found.reason) == (None, reason)
    assert store.rows(Instance) == []


def test_a_commit_that_is_not_there_is_an_error(store):
    with pytest.raises(KeyError, match="not in the store"):
        build_instance(RepositoryConfig(name=REPO), SHA, EnvironmentConfig(), ScoringConfig(), [], store)


NAMES = ("good", "half", "unsure", "wrong", "slow", "rejected", "untimed", "cheat", "unseen", "boast", "idle", "slower")
PATCHES = {"empty": " \n", **{name: f"diff {name}" for name in NAMES}}


def prediction(name: str) -> Prediction:
    return Prediction(prediction_id=name, instance_id="i", model="m", sample=0, model_patch=PATCHES[name])


def arm(name: str) -> str:
    return f"patch:{patch_id(PATCHES[name])}"


def test_the_funnel_says_why_a_prediction_that_was_timed_does_not_count():
    statuses = {"good": "ok", "half": "ok", "unsure": "ok", "wrong": "incorrect"}
    found = Scored(instance_id="i", statuses=statuses, solved=["good"], open=["unsure"])
    assert [found.outcome(name) for name in statuses] == [
        "reaches the human", "does not reach the human", "inconclusive", "incorrect",
    ]  # fmt: skip


def scored(store: Store, rows: list[Comparison], names: list[str], sessions: list[str]) -> dict[str, Score]:
    store.append(map(prediction, names))
    store.append(rows)
    failed = {patch_id(PATCHES["rejected"]): "hunk 1 does not apply"}
    build_scores("i", names, sessions, failed, ScoringConfig(), "run", store)
    return {row.prediction_id: row for row in store.rows(Score)}


def pair(test: str, name: str, base: float | None, human: float | None, **more) -> list[Comparison]:
    return [
        comparison(test, arm(name), against, ratio, **more) for against, ratio in (("base", base), ("human", human))
    ]


def test_every_prediction_gets_a_status_and_an_answer(store):
    rows = [
        *pair("t1", "good", 2.0, 1.0), *pair("t2", "good", 3.0, 1.1),
        *pair("t1", "half", 1.5, 0.7), *pair("t2", "half", 1.5, 0.7),
        *pair("t1", "unsure", 2.0, 0.95), *pair("t2", "unsure", 2.0, 0.95),
        *pair("t1", "wrong", 2.0, 1.0), *pair("t2", "wrong", None, None, status="incorrect", reason="sums differ"),
        *pair("t1", "slow", None, None, status="timeout", reason="run took longer than 120 s"),
        *pair("t1", "cheat", 9.0, 5.0, flags=["clocks_disagree"]),
        *pair("t1", "idle", 1.0, 0.98), *pair("t1", "slower", 0.9, 0.99),
        *pair("t1", "unseen", 9.0, 5.0, flags=["results_not_compared"]),
        *pair("t1", "boast", 9.0, 5.0, flags=["claim_unconfirmed"]),
    ]  # fmt: skip
    found = scored(store, rows, list(PATCHES), ["s-t1", "s-t2"])
    answers = {name: (row.status, row.opt_base, row.opt_human) for name, row in found.items()}
    assert answers == {
        "good": ("ok", "yes", "yes"),
        "half": ("ok", "yes", "no"),
        "unsure": ("ok", "yes", "inconclusive"),
        "wrong": ("incorrect", "no", "no"),
        "slow": ("timeout", "no", "no"),
        "rejected": ("patch_failed", "no", "no"),
        "untimed": ("not_timed", "inconclusive", "inconclusive"),
        "empty": ("empty_patch", "no", "no"),
        "cheat": ("ok", "inconclusive", "inconclusive"),
        "idle": ("ok", "no", "inconclusive"),  # beside a human who is barely faster than base
        "slower": ("ok", "no", "no"),
        "unseen": ("ok", "inconclusive", "inconclusive"),
        "boast": ("ok", "inconclusive", "inconclusive"),
    }
    assert found["good"].speedup_base == pytest.approx(6**0.5)  # geometric
    assert found["good"].speedup_human == pytest.approx(2 / (1 + 1 / 1.1))  # harmonic
    assert found["good"].ci_low < found["good"].speedup_human < found["good"].ci_high
    assert (found["wrong"].correct, found["wrong"].reason) == (False, "sums differ")
    assert found["rejected"].reason == "hunk 1 does not apply"
    assert found["cheat"].flags == ["clocks_disagree"]
    assert found["idle"].reason == "faster than base? inconclusive: 1.00x [0.98, 1.02]"
    assert found["slower"].reason == "faster than base? no: 0.90x [0.88, 0.92]"
    assert found["unseen"].reason == "not trusted: results_not_compared"


SPEEDS = st.tuples(st.floats(0.8, 1.6), st.floats(1.001, 1.1))


@given(SPEEDS, SPEEDS)
@settings(max_examples=60, deadline=None)
def test_nobody_reaches_the_human_without_being_faster_than_base(over_base, over_human):
    rows = [
        comparison("t1", arm("good"), against, ratio, spread=spread)
        for against, (ratio, spread) in (("base", over_base), ("human", over_human))
    ]
    found = score(prediction("good"), rows, {}, ScoringConfig(), "run", Fingerprints({}, {}))
    low, high = found.base_ci_low, found.base_ci_high
    assert (found.opt_human == "yes") == (low > 1 and found.ci_low >= 0.95)
    assert (found.opt_human == "no") == (high <= 1 or found.ci_high < 0.95)


def test_a_base_that_failed_is_not_the_models_failure(store):
    rows = pair("t1", "good", None, None, status="error", reason="base: died", flags=["base_failed"])
    found = scored(store, rows, ["good"], ["s-t1"])
    assert (found["good"].status, found["good"].opt_human) == ("not_timed", "inconclusive")


def test_without_the_human_there_is_an_answer_against_base_only(store):
    rows = [comparison("t1", arm("good"), "base", 2.0)]
    rows.append(
        comparison(
            "t1", arm("good"), "human", None, status="error", reason="human is error: x", flags=["against_failed"]
        )
    )
    found = scored(store, rows, ["good"], ["s-t1"])["good"]
    assert (found.status, found.opt_base, found.opt_human) == ("ok", "yes", "inconclusive")
    assert found.reason == "human is error: x"


def test_predictions_that_are_not_there_are_an_error(store):
    with pytest.raises(KeyError, match="nobody"):
        build_scores("i", ["nobody"], [], {}, ScoringConfig(), "run", store)


def test_ranks_are_rows(store):
    rows = pair("t1", "good", 2.0, 1.0) + pair("t1", "half", 1.5, 0.7)
    scored(store, rows, ["good", "half"], ["s-t1"])
    ranked = rank("run", 2, ["i", "unattempted"], ["good", "half"], store)
    assert [(row.model, row.k, row.opt, row.n_samples) for row in ranked.rows] == [("m", 1, 0.25, 2), ("m", 2, 0.5, 2)]
    assert len(store.rows(OptAtK, run_id="run")) == 2
