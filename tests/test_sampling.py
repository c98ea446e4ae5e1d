"""What a push runs of the suite: nothing that is marked for releases, and a choice of each rotated family."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.budgets import BEFORE, BUDGETS, TOTAL, Spent, part_of
from tests.sampling import chosen

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[1]
SUITE = """
import pytest

def test_always(): pass

@pytest.mark.thorough
def test_again(): pass

@pytest.mark.rotated(2)
@pytest.mark.parametrize("n", range(6))
def test_family(n): pass

@pytest.mark.rotated(1, family="two")
def test_one(): pass

@pytest.mark.rotated(1, family="two")
def test_other(): pass
"""


def run_of(pytester: pytest.Pytester, *arguments: str) -> set[str]:
    """Names of the tests that a run with these arguments holds."""
    result = pytester.inline_run("-p", "tests.sampling", "-p", "no:cacheprovider", *arguments)
    return {report.nodeid.rpartition("::")[2] for report in result.getreports("pytest_runtest_logreport")}


def test_a_push_holds_a_choice_and_a_release_all(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = thorough\n  rotated(n)\n")
    pytester.makepyfile(test_it=SUITE)
    all_of_it = run_of(pytester, "--thorough")
    assert len(all_of_it) == 1 + 1 + 6 + 2
    push = run_of(pytester, "--seed=a")
    assert {name.partition("[")[0] for name in push} in (
        {"test_always", "test_family", "test_one"}, {"test_always", "test_family", "test_other"},
    )  # fmt: skip
    assert len(push) == 1 + 2 + 1
    assert run_of(pytester, "--seed=a") == push
    assert run_of(pytester, "test_it.py::test_again", "--seed=a") == {"test_again"}  # asked for by its name


def test_over_pushes_every_case_runs() -> None:
    names = [f"case {n}" for n in range(20)]
    pushes = [chosen(names, 4, f"commit {n}") for n in range(60)]
    assert {len(push) for push in pushes} == {4}
    assert set.union(*pushes) == set(names)


def test_who_works_alone_spends_the_whole_run_and_others_their_share() -> None:
    spent = Spent(workers=3)
    spent.add("tests/flows/test_demo.py::test_a", {"exclusive": 1}, 300)
    spent.add("tests/tasks/timing/test_x.py::test_b", {"quiet": 1}, 60)
    spent.add("tests/tasks/test_caching.py::test_c[a::b]", {}, 36)
    assert spent.minutes == pytest.approx({"flows/test_demo.py": 5.0, "tasks/timing": 0.5, "tasks": 0.2})
    assert [line.split("  ")[-1] for line in spent.lines() if "OVER" in line] == ["OVER BUDGET"]


def test_parts_are_there_and_their_budgets_are_those_of_the_page() -> None:
    assert sum(BUDGETS.values()) <= TOTAL - BEFORE + 1e-9
    assert all((ROOT / "tests" / part).exists() for part in BUDGETS)
    assert part_of("tests/tasks/sandbox/commands/test_x.py::test") == "tasks/sandbox"
    assert part_of("tests/storage/test_x.py::test") == ""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `tests/(\S*?)` \| ([\d.]+) \|$", page, re.MULTILINE)
    assert {part: float(minutes) for part, minutes in rows} == dict(BUDGETS)
