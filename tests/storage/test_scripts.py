"""One detector of dialects, and an instance that says what its perf tests are."""

from __future__ import annotations

import pytest

from storage.ids import perf_test_id
from storage.scripts import dialect_of, perf_tests_of, problem_of
from storage.store import Store
from storage.tables import Instance
from tasks.perftests.sources.seeded import from_scripts

CHECK = "def check_equivalence(reference, candidate): ...\n"
OURS = "def setup(seed): ...\ndef experiment(state): ...\n" + CHECK
BLIND = "def setup(): ...\ndef experiment(data): ...\n" + CHECK
TIMED = "def run_test(eqcheck=False, reference=False, prefix=''): ...\n" + CHECK


@pytest.mark.parametrize(
    ("script", "dialect"),
    [
        (OURS, "isobench"), (BLIND, "gso"), (TIMED, "gso"), ("def broken(:", "isobench"), ("\ufeff" + BLIND, "gso"),
        ("def setup(*seeds): ...", "isobench"), ("def setup(seed=1): ...", "isobench"),
        ("def setup(*, seed): ...", "gso"),
        ("if True:\n    def run_test(): ...", "isobench"), ('{"name": "x"}', "command"),
        (' \n{"name": "x"}', "command"),
    ],
)  # fmt: skip
def test_whoever_asks_gets_the_same_dialect(script: str, dialect: str) -> None:
    assert dialect_of(script) == dialect
    assert from_scripts([script], [])[0].dialect == dialect


@pytest.mark.parametrize(
    "script",
    [OURS, BLIND, TIMED, "import lib\nexperiment = setup = lambda x: x\n" + CHECK, "from lib import *\nexec('')\n",
     "try:\n    from a import setup, experiment\nexcept ImportError:\n    from b import setup, experiment\n" + CHECK],
)  # fmt: skip
def test_scripts_that_may_be_perf_tests(script: str) -> None:
    assert problem_of(script) == ""


def _instance(**more: object) -> Instance:
    return Instance.model_validate(
        {"instance_id": "i", "repo": "a/b", "repo_url": "u", "created_at": None, "base_commit": "1", "head_commit": "2",
         "patch": "p", "efficiency_test": [OURS, BLIND], **more}
    )  # fmt: skip


def test_an_instance_says_what_its_perf_tests_are() -> None:
    said = _instance(test_ids=["one", "two"], dialects=["isobench", "isobench"])
    assert [(test.test_id, test.dialect) for test in perf_tests_of(said)] == [("one", "isobench"), ("two", "isobench")]


def test_an_instance_says_whose_results_are_compared() -> None:
    assert [test.results_compared for test in perf_tests_of(_instance(results_compared=[True, False]))] == [True, False]
    assert [test.results_compared for test in perf_tests_of(_instance())] == [True, True]


@pytest.mark.parametrize("more", [{}, {"test_ids": ["x"], "dialects": ["gso"]}, {"test_ids": ["x", "x"]}])
def test_of_older_instances_the_texts_say_it(more: dict[str, object]) -> None:
    wanted = [(perf_test_id("a/b", "2", text, kind), kind) for text, kind in ((OURS, "isobench"), (BLIND, "gso"))]
    assert [(test.test_id, test.dialect) for test in perf_tests_of(_instance(**more))] == wanted


def test_stores_without_these_columns_are_read(tmp_path) -> None:
    import polars as pl

    store = Store(tmp_path / "store")
    store.append([_instance()])
    (part,) = (tmp_path / "store" / "instances").rglob("*.parquet")
    pl.read_parquet(part, hive_partitioning=False).drop("test_ids", "dialects").write_parquet(part)
    assert store.rows(Instance) == [_instance()]
