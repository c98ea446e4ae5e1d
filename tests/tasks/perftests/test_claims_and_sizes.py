"""What a test says about time is taken out of its text; versions with more or less input are made of it."""

from __future__ import annotations

from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.perftests.sources.pytest.benchmarks import callable_text, functions_to_call
from tasks.perftests.sources.pytest.claims import speaks_of_speed, without_claims
from tasks.perftests.sources.pytest.inside import discovery
from tasks.perftests.sources.pytest.sizes import has_version, scaled_module, with_versions
from tasks.perftests.sources.pytest.suite import workload_text
from tasks.perftests.sources.workloads import Workload, best_api, most_telling

CLAIMS = dedent("""
    import time
    import unittest
    from timeit import default_timer as timer

    def clocked(work):
        start = timer()
        work()
        return timer() - start

    def test_linear():
        def run(n):
            start = time.perf_counter()
            found = parse("(" * n)
            assert found
            return time.perf_counter() - start
        short, long = run(1000), run(10_000)
        if long / short > 20:
            raise AssertionError(
                "not linear"
            )
        assert parse("x") == "x"

    class TestIt(unittest.TestCase):
        def test_helper(self):
            took = clocked(lambda: parse("y"))
            self.assertLess(took, 1.0)
            self.assertEqual(parse("y"), "y")
        def test_list(self):
            times = []
            for _ in range(3):
                begin, size = time.time(), len(parse("z"))
                times.append(time.time() - begin)
                assert size == 1
            assert max(times) < 2, "slow"
        def test_other(self):
            deadline = 5
            assert deadline < 6
""")


def test_assertions_about_time_go_and_all_others_stay() -> None:
    text, names = without_claims(CLAIMS)
    assert names == {"test_linear", "TestIt.test_helper", "TestIt.test_list"}
    for gone in ("> 20", "not linear", "took, 1.0", "max(times)"):
        assert gone not in text
    for kept in ('== "x"', 'assertEqual(parse("y"), "y")', "size == 1", "deadline < 6", "assert found"):
        assert kept in text
    assert len(text.splitlines()) == len(CLAIMS.splitlines())  # places keep their lines
    compile(text, "tests.py", "exec")


@pytest.mark.parametrize("text", ["def test_x():\n    assert 1 < 2\n", "def broken(:\n"])
def test_a_text_without_a_clock_stays_as_it_is(text: str) -> None:
    assert without_claims(text) == (text, set())


def test_names_that_speak_of_speed() -> None:
    assert all(map(speaks_of_speed, ("test_linear_performance", "test_large_input", "test_DoS", "test_deeply_nested")))
    assert not any(map(speaks_of_speed, ("test_parse", "test_dosage", "test_bigram")))


SIZED = dedent('''
    import pytest

    class TestLong:
        @pytest.mark.parametrize("kind", [1, 2])
        def test_split(self, kind):
            """Müller."""
            items = [n for n in range(1000)]
            text = "ä(" * 50 + ")"
            assert len(items) == 1000
            assert kind < 50_000
            assert text[3] != 9

    def test_plain():
        assert max(3, 500) == 500
''')


def test_versions_have_other_sizes_wherever_the_same_number_stands() -> None:
    made = with_versions(SIZED, ["TestLong.test_split__times_10", "TestLong.test_split__by_10", "test_plain__by_10"])
    compile(made, "tests.py", "exec")
    larger = made[made.index("def test_split__times_10") :].split("def ")[1]
    assert "range(10000)" in larger
    assert "len(items) == 10000" in larger
    assert '"ä(" * 500' in larger
    assert "text[3] != 9" in larger
    assert "range(100)" in made
    assert made.count("@pytest.mark.parametrize") == 3
    assert "test_plain__" not in made  # it has no sizes
    assert has_version(SIZED, "TestLong.test_split__times_10")
    assert not has_version(SIZED, "test_plain__by_10")
    only = workload_text(SIZED, {"TestLong.test_split__by_10"})
    assert "test_split__by_10" in only
    assert "def test_split(" not in only
    assert "test_plain" not in only


SHORT = dedent('''
    import pytest

    class TestParse:
        @pytest.mark.parametrize("sql, kind", [("select a from b", "upper")])
        def test_of_any(self, sql, kind):
            """What it says."""
            cookies = kit.parse("a=b; c=d", kind)
            assert kit.parse(sql).kinds == [1, 2]
            self.ndiffAssertEqual(kit.parse("x: 1\\r\\ny: 2\\r\\n"), "something else")
            with pytest.raises(ValueError, match="no such thing"):
                kit.parse(["x"], cookies)

    def test_of_none():
        assert kit.parse("a") == "something else"
''')


def test_grown_versions_repeat_input_and_compare_nothing() -> None:
    seen: list[Any] = []

    def parse(*given: Any) -> Any:
        seen.append(given[0])
        if given[0] == ["x"]:
            raise ValueError("no such thing")
        return SimpleNamespace(kinds=[3])

    text = workload_text(SHORT, {"TestParse.test_of_any__grown_10"})
    world: dict[str, Any] = {"kit": SimpleNamespace(parse=parse)}
    exec(text, world)
    case = world["TestParse"]()
    case.ndiffAssertEqual = None
    case.test_of_any__grown_10("select a from b", "upper")
    sql = "select a from b " * 10
    assert seen == ["a=b; c=d; " * 10, sql, "x: 1\r\ny: 2\r\n" * 10, ["x"]]
    assert not has_version(SHORT, "test_of_none__grown_10")
    assert "test_of_any(" not in text


SCRIPT = dedent('''
    """Measures."""
    import time
    import kit

    def measure(n):
        start = time.perf_counter()
        kit.parse("-" * n)
        return time.perf_counter() - start

    SIZES = (1000, 2000)
    worst = 0.0
    for size in SIZES:
        worst = max(worst, measure(size))
    if __name__ == "__main__":
        print(worst * 1000)
''')


def test_what_a_benchmark_script_runs_can_be_called() -> None:
    text = callable_text(SCRIPT)
    called: list[int] = []
    names: dict[str, object] = {"__name__": "bench"}
    exec(compile(text.replace("import kit", ""), "bench.py", "exec"), names)
    names["kit"] = type("Kit", (), {"parse": staticmethod(lambda text: called.append(len(text)))})
    assert called == []  # importing it runs nothing
    names["main"]()  # type: ignore[operator]
    assert called == [1000, 2000]
    assert functions_to_call(SCRIPT) == ["main"]
    assert functions_to_call("def main(path):\n    pass\ndef bench_one(n=1):\n    pass\n") == ["bench_one"]
    assert callable_text("def main():\n    pass\nif __name__ == '__main__':\n    main()\n").count("def main") == 1


def test_a_benchmark_script_is_scaled_as_a_whole() -> None:
    made = scaled_module(callable_text(SCRIPT), "main__by_10")
    assert "(100, 200)" in made
    assert "worst * 1000" in made  # a unit and no size
    assert "def main__by_10():" in made


def test_a_label_names_nothing_that_was_not_seen() -> None:
    apis = ["pkg.far.guess", "pkg.Tree", "pkg.parse"]
    assert best_api(["pkg/tree.py::Tree._walk"], apis) == "pkg.Tree"
    assert best_api(["pkg/low.py::_walk"], apis, "def test(): parse('x')") == "pkg.parse"
    assert best_api(["pkg/low.py::_walk"], apis) == "pkg/low.py::_walk"


def test_what_tests_see_is_looked_at_for_the_best_of_them() -> None:
    def answer(nodeid: str, share: float, seconds: float) -> tuple[Any, dict[str, float]]:
        return SimpleNamespace(nodeid=nodeid), {"share": share, "seconds": seconds}

    executed = [answer("a", 0.1, 1), answer("b[1]", 0.9, 3), answer("b[2]", 0.9, 2), answer("c", 0.88, 1)]
    assert [item.nodeid for item in discovery.best(executed)] == ["b[1]", "c", "a", "b[2]"]
    many = [answer(f"m[{number}]", 0.9, 1) for number in range(100)]
    assert len(discovery.best([*many, *executed])) == discovery.SURVEYED
    assert "a" in [item.nodeid for item in discovery.best([*many, *executed])]


def test_longer_workloads_come_first_up_to_what_a_session_can_repeat() -> None:
    def workload(name: str, seconds: float) -> tuple[str, Workload]:
        return name, Workload(["f"], 0.9, seconds, {})

    tried = [workload("short", 0.01), workload("hours", 9.0), workload("long", 1.5), workload("some", 0.4)]
    assert [name for name, _ in most_telling(tried, str, 4)] == ["long", "hours", "some", "short"]
