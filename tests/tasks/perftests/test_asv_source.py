"""Benchmarks written for airspeed velocity as workloads, in the real sandbox, without asv."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

from configs.models import PerfTestConfig
from storage.tables import Commit
from tasks.perftests.gates import Bench, run_gates
from tasks.perftests.models import Proposal
from tasks.perftests.sources.asv.files import find_suite
from tasks.perftests.sources.asv.source import from_benchmarks
from tasks.perftests.sources.workloads import NothingFound

pytestmark = pytest.mark.quiet

Kit = Any  # of conftest.py
CONFIG = PerfTestConfig(tests_per_commit=20)
BENCHMARKS = {
    "perf/asv.conf.json": '{\n  // "benchmark_dir": "nowhere",\n  "benchmark_dir": "suite", "project": "kit"\n}\n',
    "perf/suite/__init__.py": "",
    "perf/suite/texts.py": "def page(words):\n    return ' '.join(f'w{n % words}' for n in range(2000))\n",
    "perf/suite/words.py": """import os
import random

from asv_runner.benchmarks.mark import SkipNotImplemented, skip_for_params
from kit.words import Counter, unrelated
from suite.texts import page

ORDER = []


def setup(*args):
    ORDER.append("module")


class Words:
    params = [[10, 200], ["few", "many", "none"]]
    param_names = ["words", "number"]
    timeout = 20

    def setup_cache(self):
        with open("cached", "a") as file:
            file.write("x")
        return {words: page(words) for words in self.params[0]}

    def setup(self, pages, words, number):
        assert ORDER[-1] == "module"
        if number == "none":
            raise SkipNotImplemented("nothing to rank")
        self.text = pages.pop(words)  # a copy of the cache: the next setup has it again
        self.number = {"few": 1, "many": 150}[number]

    def teardown(self, pages, words, number):
        assert os.path.getsize("cached") == 1
        self.text = None

    def time_top(self, pages, words, number):
        _ = Counter.top(self.text, self.number)

    @skip_for_params([(10, "few")])
    def time_top_twice(self, pages, words, number):
        Counter.top(self.text, self.number)
        Counter.top(
            self.text, self.number
        )

    def peakmem_top(self, pages, words, number):
        Counter.top(self.text, self.number)


class Lines:
    number = 1

    def setup(self):
        self.texts = ["a b a", "b c"]

    def time_top_that_uses_up(self):
        Counter.top(self.texts.pop(), 2)
        Counter.top(self.texts.pop(), 2)


def time_top_of_chance():
    return Counter.top(" ".join(random.choice("abcdef") for _ in range(300)), 3)


def time_unrelated():
    unrelated(range(10))


def time_top_that_fails():
    Counter.top(None, 3)
""",
    "perf/suite/broken.py": "import no_such_module\n\n\ndef time_top():\n    pass\n",
}


@pytest.fixture
def benchmarked(kit: Kit) -> Kit:
    for arm in ("base", "human"):
        kit.write(arm, BENCHMARKS)
    return kit


def offered(kit: Kit, bench: Bench, commit: Commit | None = None) -> dict[str, Proposal]:
    found = from_benchmarks(
        commit or kit.commit,
        ["kit.words.Counter.top"],
        CONFIG,
        sandbox=bench.sandbox,
        work=kit.work,
        base=kit.base,
        human=kit.human,
        limits=bench.limits,
    )
    return {item.name.partition(":")[2]: item for item in found}


def test_benchmarks_that_execute_the_change_are_offered_with_their_parameters(benchmarked: Kit, bench: Bench) -> None:
    found = offered(benchmarked, bench)
    assert set(found) == {
        "Words.time_top(10, 'few')",
        "Words.time_top(10, 'many')",
        "Words.time_top(200, 'few')",
        "Words.time_top(200, 'many')",
        "Words.time_top_twice(10, 'many')",
        "Words.time_top_twice(200, 'few')",
        "Words.time_top_twice(200, 'many')",
        "Lines.time_top_that_uses_up",
        "time_top_of_chance",
    }  # not: other functions, skipped, failing, memory
    assert all(item.api == "kit.words.Counter.top" for item in found.values())
    uses_up = found["Lines.time_top_that_uses_up"].script
    assert "\nNUMBER = 1\n" in uses_up
    assert "\nCOPIES = 100\n" in uses_up
    assert found["Words.time_top(200, 'many')"].results_compared
    assert not found["time_top_of_chance"].results_compared
    for name in ("Words.time_top(200, 'many')", "Lines.time_top_that_uses_up", "time_top_of_chance"):
        verdict = run_gates(found[name], bench, PerfTestConfig(screen_rounds=0, min_duration_s=1e-5))
        assert verdict.accepted, (name, verdict.reason)
        assert verdict.covered == ["kit/words.py::Counter.top"]


def test_the_arms_own_benchmarks_cannot_reach_the_script(benchmarked: Kit, bench: Bench) -> None:
    found = offered(benchmarked, bench)["Words.time_top(200, 'many')"]
    assert "broken" not in found.script
    for arm in ("base", "human"):
        shutil.rmtree(benchmarked.work / arm / "perf")
        benchmarked.write(arm, {"suite/__init__.py": "raise RuntimeError('patched')\n"})
    assert run_gates(found, bench, PerfTestConfig(screen_rounds=0)).accepted


def test_a_benchmark_that_exists_only_after_the_change_is_taken_from_there(benchmarked: Kit, bench: Bench) -> None:
    late = "from kit.words import Counter\n\n\ndef time_top_late():\n    Counter.top('a b a ' * 99, 2)\n"
    benchmarked.write("human", {"perf/suite/late.py": late})
    found = offered(benchmarked, bench)["time_top_late"]
    assert run_gates(found, bench, PerfTestConfig(screen_rounds=0)).accepted


def test_reasons_for_finding_nothing(benchmarked: Kit, bench: Bench) -> None:
    for functions, reason in (
        (["kit/words.py::no_such_function"], "no changed function exists on base"),
        (["kit/words.py::explode"], "no benchmark executes a changed function"),
    ):
        with pytest.raises(NothingFound, match=reason):
            offered(benchmarked, bench, benchmarked.commit.model_copy(update={"functions_changed": functions}))
    only_memory = (
        "from kit.words import Counter\n\n\nclass A:\n    def peakmem_top(self):\n        Counter.top('a', 1)\n"
    )
    for arm in ("base", "human"):
        benchmarked.write(arm, {"perf/suite/words.py": only_memory})
    with pytest.raises(NothingFound, match="peakmem_top: only time is measured here"):
        offered(benchmarked, bench)
    for arm in ("base", "human"):
        shutil.rmtree(benchmarked.work / arm / "perf")
    with pytest.raises(NothingFound, match="no asv benchmarks"):
        offered(benchmarked, bench)


def test_what_asv_runs_runs_here(kit: Kit, bench: Bench) -> None:
    """A folder that is no identifier, files with a byte order mark or a form feed, caches of nothing."""
    suite = {
        "ci/asv.conf.json": '\ufeff{benchmark_dir: \'./asv-suite\', /* "benchmark_dir": "x" */ // and so on\n}\n',
        "ci/asv-suite/__init__.py": "from kit.words import Counter\n\n\ndef time_top_of_package():\n"
        "    Counter.top('a b a ' * 99, 2)\n",
        "ci/asv-suite/caches.py": """\ufeff\x0c
from . import Counter


def setup_cache():
    with open("words", "w") as file:
        file.write("a b a " * 99)


class Base:
    params = ([1, 2],)

    def setup(self, number):
        with open("words") as file:
            self.text = file.read()

    def time_top_of_file(self, number):
        Counter.top(self.text, number)


class Derived(Base):
    pass
""",
        "ci/asv-suite/more.py": "from . import Counter\n\n\ndef setup_cache():\n    return 'a b ' * 99\n\n\n"
        "def time_top_of_cache(text):\n    Counter.top(text, 2)\n",
    }
    for arm in ("base", "human"):
        kit.write(arm, suite)
    found = offered(kit, bench)
    assert set(found) == {
        "time_top_of_package", "Base.time_top_of_file(1)", "Base.time_top_of_file(2)", "Derived.time_top_of_file(1)",
        "Derived.time_top_of_file(2)", "time_top_of_cache",
    }  # fmt: skip
    for name in ("Derived.time_top_of_file(2)", "time_top_of_cache"):
        verdict = run_gates(found[name], bench, PerfTestConfig(screen_rounds=0, min_duration_s=0.0001))
        assert verdict.accepted, (name, verdict.reason)


@pytest.mark.parametrize(
    ("configured", "files", "reason"),
    [
        ('"benchmark_dir": "nowhere"', {}, "'nowhere' as benchmark_dir, which does not exist"),
        ('"benchmark_dir": "my.bench"', {"my.bench/a.py": "def time_it(): pass\n"}, "cannot be imported from a folder"),
        ('"benchmark_dir": "suite"', {"suite/a.py": "def track_it(): pass\n"}, "holds no time_* functions"),
    ],
)
def test_a_suite_that_cannot_be_used_is_not_said_to_be_absent(
    configured: str, files: dict[str, str], reason: str, kit: Kit, bench: Bench
) -> None:
    kit.write("base", {"asv.conf.json": f"{{{configured}}}", **files})
    with pytest.raises(NothingFound, match=re.escape(reason)):
        offered(kit, bench)


def test_a_suite_is_found_by_its_configuration_or_by_its_place(kit: Kit) -> None:
    text = "def time_it():\n    pass\n"
    kit.write("base", {"asv_bench/benchmarks/one.py": text})
    found = find_suite(kit.work / "base")
    assert found is not None
    assert (found.folder, list(found.files)) == ("asv_bench/benchmarks", ["benchmarks/one.py"])
    kit.write("base", BENCHMARKS)
    found = find_suite(kit.work / "base")
    assert found is not None
    assert found.folder == "perf/suite"
    assert set(found.needed_by("suite.words")) == {"suite/__init__.py", "suite/words.py", "suite/texts.py"}
