"""The repository's own tests as workloads, in the real sandbox with the real pytest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.models import PerfTestConfig
from storage.tables import Commit
from tasks.perftests.gates import Bench, run_gates
from tasks.perftests.models import Proposal
from tasks.perftests.sources.pytest.candidates import find_candidates
from tasks.perftests.sources.pytest.pruning import keep_tests
from tasks.perftests.sources.pytest.sizes import version_of
from tasks.perftests.sources.pytest.source import from_tests
from tasks.perftests.sources.pytest.suite import SuiteTooLarge, build_suite
from tasks.perftests.sources.workloads import NothingFound

pytestmark = pytest.mark.quiet

Kit = Any  # of conftest.py
APIS = ["kit.words.Counter.top"]
CONFIG = PerfTestConfig(tests_per_commit=10)


def offered(kit: Kit, bench: Bench, commit: Commit | None = None, config: PerfTestConfig = CONFIG) -> list[Proposal]:
    return from_tests(
        commit or kit.commit,
        APIS,
        config,
        sandbox=bench.sandbox,
        work=kit.work,
        base=kit.base,
        human=kit.human,
        limits=bench.limits,
    )


Offers = dict[str, Proposal]


def test_tests_that_execute_the_change_are_offered(offers: Offers) -> None:
    assert {name for name in offers if not version_of(name)[1]} == {
        "test_top",
        "test_top_many[1]",
        "test_top_many[30]",
        "test_top_writes",
        "TopCase::test_top_of_case",
    }  # not: other functions, once only, failing, skipped


@pytest.mark.rotated(1)
@pytest.mark.parametrize("name", ["test_top_many[30]", "test_top_writes", "TopCase::test_top_of_case"])
def test_what_is_offered_passes_the_gates(name: str, offers: Offers, bench: Bench) -> None:
    verdict = run_gates(offers[name], bench, PerfTestConfig(screen_rounds=0, min_duration_s=0.01))
    assert verdict.accepted, verdict.reason
    assert verdict.covered == ["kit/words.py::Counter.top"]


def test_the_script_holds_what_the_test_needs_and_no_other_test(offers: Offers) -> None:
    script = offers["test_top"].script
    assert "def test_top(text):" in script
    assert "def sentence" in script
    assert "def text():" in script
    assert "test_top_many" not in script
    assert "test_nothing" not in script


def test_the_arms_own_tests_cannot_reach_the_script(offers: Offers, kit: Kit, bench: Bench) -> None:
    for path in ("tests/test_words.py", "tests/conftest.py", "conftest.py", "tests/helpers.py"):
        (kit.work / "human" / path).write_text("raise RuntimeError('patched')\n")
    (kit.work / "human" / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    verdict = run_gates(offers["test_top"], bench, PerfTestConfig(screen_rounds=0))
    assert verdict.accepted, verdict.reason


def test_a_patch_that_breaks_the_test_is_seen_by_the_check(offers: Offers, kit: Kit, bench: Bench) -> None:
    words = kit.work / "base" / "kit" / "words.py"
    words.write_text(words.read_text().replace("return found", "return [('nothing', 0)]"))
    verdict = run_gates(offers["test_top"], bench, PerfTestConfig(screen_rounds=0, min_duration_s=1e-6))
    assert verdict.gate == "deterministic"
    assert "AssertionError" in verdict.detail


@pytest.mark.rotated(2, family="suites of many shapes")
def test_a_test_that_exists_only_after_the_change_is_taken_from_there(kit: Kit, bench: Bench) -> None:
    late = (
        "from kit.words import Counter\n\n\ndef test_top_late():\n    assert Counter.top('a ' * 9, 1) == [('a', 9)]\n"
    )
    kit.write("human", {"tests/test_late.py": late})
    [found] = [item for item in offered(kit, bench) if "late" in item.name]
    assert run_gates(found, bench, PerfTestConfig(screen_rounds=0)).accepted


@pytest.mark.rotated(2, family="suites of many shapes")
def test_tests_inside_the_package(kit: Kit, bench: Bench) -> None:
    inside = {
        "kit/tests/__init__.py": "",
        "kit/tests/data.py": "TEXT = 'a b a ' * 50\n",
        "kit/tests/test_inside.py": (
            "from ..words import Counter\nfrom kit.tests.data import TEXT\nfrom . import data\n\n\n"
            "def test_top_inside():\n    assert Counter.top(TEXT, 1) == [('a', 100)]\n    assert data.TEXT\n"
        ),
    }
    for arm in ("base", "human"):
        kit.write(arm, inside)
    [found] = [item for item in offered(kit, bench) if "inside" in item.name]
    assert run_gates(found, bench, PerfTestConfig(screen_rounds=0)).accepted
    kit.write("human", {"kit/tests/data.py": "raise RuntimeError('patched')\n"})
    assert run_gates(found, bench, PerfTestConfig(screen_rounds=0)).accepted


@pytest.mark.rotated(2, family="suites of many shapes")
def test_a_unittest_method_is_bound_again_after_its_teardown(kit: Kit, bench: Bench) -> None:
    odd = {
        # as pytest 8.2.1 and 8.2.2 leave an item that was torn down
        "tests/odd/conftest.py": (
            "import pytest\n\n\n@pytest.hookimpl(trylast=True)\ndef pytest_runtest_teardown(item):\n"
            "    item._obj = item._instance = None\n"
        ),
        "tests/odd/test_odd.py": (
            "import unittest\nfrom kit.words import Counter\n\n\nclass OddCase(unittest.TestCase):\n"
            "    def test_top_odd(self):\n        self.assertEqual(Counter.top('a ' * 9, 1), [('a', 9)])\n"
            "        assert '@pytest_ar' not in globals()  # asserts are not rewritten\n"
        ),
    }
    for arm in ("base", "human"):
        kit.write(arm, odd)
    [found] = [item for item in offered(kit, bench) if "odd" in item.name]
    verdict = run_gates(found, bench, PerfTestConfig(screen_rounds=0, min_duration_s=1e-6))
    assert verdict.accepted, verdict.reason


def test_without_pytest_in_the_environment_it_says_what_to_do(kit: Kit, bench: Bench, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = kit.base.environment.model_copy(update={"path": str(tmp_path / "bare")})
    with pytest.raises(NothingFound, match=r"no pytest: add it to environment\.packages"):
        offered(replace(kit, base=kit.base.model_copy(update={"environment": bare})), bench)


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        (["kit/words.py::no_such_function"], "no changed function exists on base"),
        (["kit/words.py::explode"], "none executes a changed function on base"),
    ],
)
def test_reasons_for_finding_nothing(functions: list[str], reason: str, kit: Kit, bench: Bench) -> None:
    with pytest.raises(NothingFound, match=reason):
        offered(kit, bench, kit.commit.model_copy(update={"functions_changed": functions}))


KINDS = {
    "tests/test_kinds.py": """import asyncio
import time
import unittest

import pytest
from hypothesis import given, strategies

from kit.words import Counter


def test_top_is_fast():
    start = time.perf_counter()
    found = Counter.top(' '.join(f'w{n}' for n in range(200)), 50)
    assert time.perf_counter() - start < 1e-9
    assert len(found) == 50


@given(strategies.lists(strategies.sampled_from(['a', 'b', 'c']), min_size=1))
def test_top_of_any(words):
    assert Counter.top(' '.join(words * 300), 1)[0][0] in words


class TopTask(unittest.IsolatedAsyncioTestCase):
    async def test_top_awaited(self):
        await asyncio.sleep(0)
        self.assertEqual(Counter.top('a a b ' * 9000, 1), [('a', 18000)])


@pytest.fixture(scope='module')
def shared():
    return 'a b b ' * 30


def test_top_of_shared(shared, benchmark):
    assert benchmark(Counter.top, shared, 1) == [('b', 60)]
""",
    "benchmarks/bench_top.py": (
        "from kit.words import Counter\n\nSIZES = (100, 200)\nfor size in SIZES:\n"
        "    print(len(Counter.top(' '.join(f'w{n}' for n in range(size)), 20)))\n"
    ),
}


def test_tests_of_many_kinds_become_workloads(kit: Kit, bench: Bench) -> None:
    for arm in ("base", "human"):
        kit.write(arm, {**KINDS, "tests/test_words.py": ""})
    found = {item.name.partition("::")[2]: item for item in offered(kit, bench)}
    whole = {version_of(name)[0] for name in found}
    assert {
        "test_top_is_fast", "test_top_of_any", "TopTask::test_top_awaited", "test_top_of_shared", "main",
    } <= whole  # fmt: skip
    assert any(name.startswith("test_top_is_fast__times_10") for name in found)
    claim = next(item for name, item in found.items() if name.startswith("test_top_is_fast"))
    assert "- start < 1e-9" not in claim.script
    for name in ("test_top_of_any", "TopTask::test_top_awaited", "main"):
        verdict = run_gates(found[name], bench, PerfTestConfig(screen_rounds=0, min_duration_s=1e-6))
        assert verdict.accepted, (name, verdict.reason)


def test_compiled_code_is_looked_for_by_the_names_that_tests_mention(kit: Kit, bench: Bench) -> None:
    compiled = kit.commit.model_copy(update={"functions_changed": ["kit/fast.c::top"], "files": ["kit/fast.c"]})
    found = offered(kit, bench, compiled)
    assert any(item.name == "tests/test_words.py::test_top" for item in found)
    assert "of compiled code" in found[0].script


def test_a_repository_without_tests(kit: Kit, bench: Bench) -> None:
    for arm in ("base", "human"):
        for path in (kit.work / arm / "tests").glob("*.py"):
            path.unlink()
    with pytest.raises(NothingFound, match="no test mentions"):
        offered(kit, bench)


@pytest.mark.rotated(2, family="suites of many shapes")
def test_a_test_that_hangs_does_not_hold_up_the_others(kit: Kit, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.perftests.sources import workloads

    monkeypatch.setattr(workloads, "TEST_S", 0.5)
    slow = "from kit.words import Counter\n\n\ndef test_top_slow():\n    while Counter.top('a', 1):\n        pass\n"
    kit.write("base", {"tests/test_a_slow_top.py": slow})
    names = {item.name for item in offered(kit, bench)}
    assert "tests/test_words.py::test_top" in names
    assert not any("slow" in name for name in names)


def test_candidates_prefer_files_that_the_change_touched(kit: Kit) -> None:
    kit.write("base", {"tests/test_more.py": "def test_of_top():\n    pass\n"})
    changed = ["kit/words.py::Counter.top"]
    base = kit.work / "base"
    assert find_candidates(base, changed, APIS, [])[0].path == "tests/test_words.py"
    assert find_candidates(base, changed, APIS, ["tests/test_more.py"])[0].path == "tests/test_more.py"
    assert find_candidates(base, [], [], []) == []


def test_pruning_keeps_what_the_rest_refers_to() -> None:
    text = (
        "import x\n\n\nclass TestBase:\n    def test_a(self): ...\n\n\nclass TestChild(TestBase):\n"
        "    def test_b(self): ...\n    def helper(self): ...\n    def test_c(self): ...\n\n\n"
        "@x.mark\ndef test_d(): ...\n\n\nclass TestOther:\n    def test_e(self): ...\n"
    )
    kept = keep_tests(text, {"TestChild.test_b"})
    assert "TestBase" in kept
    assert "helper" in kept
    for gone in ("test_c", "test_d", "@x.mark", "TestOther"):
        assert gone not in kept


def test_a_suite_that_needs_too_much_is_refused(kit: Kit) -> None:
    with pytest.raises(SuiteTooLarge):
        build_suite(kit.work / "base", {"tests/test_words.py": None}, limit=100)
