"""A commit's story, the funnel by reason, and rows for other programs."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.errors import UserError
from flows.commands.formats import written
from storage.query import show
from storage.scripts import workload_name
from storage.store import Store
from storage.tables import Api, Commit, Comparison, EnvironmentTry, Funnel, PerfTest
from tasks.reporting.story import lines_of_story, story_of
from tasks.reporting.tables import funnel_by_reason

SHA, OTHER = "abcd1" + "0" * 35, "abcd2" + "0" * 35
SCRIPT = "NODEID = ''\nNODEID = 'tests/test_a.py::test_large'\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    common = {
        "repo": "a/b", "parent_sha": "c" * 40, "author_date": datetime(2024, 5, 1, tzinfo=UTC), "message": "",
        "score": 4.5, "score_features": ["+2 speed in title"], "kept": True, "reason": "score 4.5",
        "functions_changed": ["b/x.py::f"],
    }  # fmt: skip
    test = {"repo": "a/b", "sha": SHA, "script": SCRIPT, "source": "pytest", "base_duration_s": 0.25}
    made.append([
        Commit(sha=SHA, subject="Parse in linear time", **common),
        Commit(sha=OTHER, subject="Another", **{**common, "kept": False, "reason": "low_score: 1.2"}),
        Api(repo="a/b", sha=SHA, api="b.parse", rank=1, evidence=["b.parse", "b.x.f"], source="static", guesses=1),
        PerfTest(test_id="t1", api="b.parse", status="accepted", screen_speedup=1.5, **test),
        PerfTest(test_id="t2", api="b.parse", status="rejected", reason="lines: no changed line runs", **test),
        *(
            EnvironmentTry(
                repo="a/b", sha=SHA, sandbox="local", asked="5a", number=number, step=step, python=python,
                outcome=outcome, reason=reason, chosen=outcome == "ok", log=log,
            )
            for number, step, python, outcome, reason, log in (
                (2, "an older Python, since `asyncio.async` is a syntax error", "3.6", "ok", "", None),
                (1, "of the day", "3.9", "failed", "pytest does not start", "environments/x.log"),
            )
        ),
        Comparison(
            session_id="s1", test_id="t1", arm="human", against="base", repo="a/b", status="ok", ratio=1.3, ci_low=0.9,
            ci_high=1.8, question=1.2, verdict="inconclusive", machine_id="m", n_rounds=4,
        ),
        *(
            Funnel(run_id="r", stage=stage, key=key, repo="a/b", outcome=outcome, reason=reason)
            for stage, key, outcome, reason in (
                ("mining", SHA, "kept", "score 4.5"), ("mining", OTHER, "dropped", "low_score: 1.2"),
                ("mining", "d" * 40, "dropped", "low_score: 0.3"), ("environments", SHA, "kept", ""),
                ("perftests", SHA, "kept", ""), ("instances", SHA, "dropped", "inconclusive: 1.30x [0.90, 1.80]"),
            )
        ),
    ])  # fmt: skip
    return made


def test_a_story_goes_from_score_to_verdict_and_says_what_to_do(store: Store) -> None:
    told = "\n".join(lines_of_story(story_of(store, "ABCD1")))
    for part in (
        "Parse in linear time", "+2 speed in title", "b.parse > b.x.f", "1 of its steps guessed",
        "accepted: tests/test_a.py::test_large", "1.5x on the screen", "lines: no changed line runs",
        "1. local, Python 3.9, of the day: failed\n     pytest does not start\n     log: ",
        "2. local, Python 3.6, an older Python, since `asyncio.async` is a syntax error: ok, in use",
        "human: 1.3x [0.9, 1.8], at 1.2x inconclusive", "no instance: ended at instances", "timing.budget_s",
    ):  # fmt: skip
        assert part in told
    assert str(store.work / "environments/x.log") in told
    assert told.index("1. local") < told.index("2. local")
    dropped = "\n".join(lines_of_story(story_of(store, OTHER)))
    assert "dropped, score 4.5: low_score: 1.2" in dropped
    assert "mining.min_score" in dropped


@pytest.mark.parametrize(
    ("sha", "said"), [("abcd", "2 commits begin with abcd"), ("ffff", "no commit ffff"), ("main", "is no commit")]
)
def test_a_commit_that_cannot_be_told_is_the_users_mistake(store: Store, sha: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        story_of(store, sha)


def test_the_funnel_by_reason_has_counts_and_advice(store: Store) -> None:
    rows = funnel_by_reason(store)
    assert [(row["stage"], row["outcome"], row["items"], row["reason"]) for row in rows[:2]] == [
        ("mining", "kept", 1, ""), ("mining", "dropped", 2, "low_score"),
    ]  # fmt: skip
    assert "mining.min_score" in rows[1]["to_do"]


def test_rows_for_other_programs_are_whole(store: Store) -> None:
    found = show(store, "perf_tests", "status=rejected", ["test_id", "reason", "screen_speedup", "script"], full=True)
    (row,) = [json.loads(line) for line in written("json", found.rows, found.columns).splitlines()]
    assert row == {"test_id": "t2", "reason": "lines: no changed line runs", "screen_speedup": None, "script": SCRIPT}
    header, values = csv.reader(io.StringIO(written("csv", found.rows, found.columns)))
    assert (header, values[3]) == (found.columns, SCRIPT)
    formula = [{"reason": "=HYPERLINK(1)", "screen_speedup": -1.5}]
    assert written("csv", formula, ["reason", "screen_speedup"]).splitlines()[1] == "'=HYPERLINK(1),-1.5"
    lines = written("markdown", found.rows, found.columns).splitlines()
    assert len(lines) == 3  # a text with line breaks takes one line
    assert lines[0] == "| test_id | reason | screen_speedup | script |"


def test_a_workload_goes_by_the_test_that_it_carries() -> None:
    assert workload_name(SCRIPT) == "tests/test_a.py::test_large"
    assert workload_name('"""Splits long texts.\n\nMore."""\n') == "Splits long texts"
    assert workload_name("x = 1\n") == workload_name("def (") == ""
