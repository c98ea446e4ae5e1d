"""What a repository's tests see of the changed functions: kept while they run, told and compared later."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.perftests.gates import Bench
from tasks.perftests.inside import values
from tasks.perftests.inside.observing import KEEPER, Keeper, Rewriter, chosen_calls, observe_imports, told_once
from tasks.perftests.inside.survey import Survey, surveyed
from tasks.perftests.inside.values import differs, plain, says_something
from tasks.perftests.models import Proposal
from tasks.sandbox.probe.session import CheckFailed, ProbeSession

Kit = Any  # of conftest.py


class Point:
    def __init__(self, x: float, kept: object = None) -> None:
        self.x, self._kept = x, kept


class Named(Point):
    def __repr__(self) -> str:
        return f"<Named {self._kept} at 0x{id(self):x}>"


class Slotted:
    __slots__ = ("_kept", "x")

    def __init__(self, x: float) -> None:
        self.x, self._kept = x, object()


class Shelf:
    """A collection of its own kind."""

    def __init__(self, *items: object) -> None:
        self._items = items

    def __iter__(self) -> Iterator[object]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items


ROOM = 1000
LONG = [str(n) for n in range(2 * ROOM)]
CYCLE: list[Any] = [1]
CYCLE.append(CYCLE)


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a long value need not be long."""
    monkeypatch.setattr(values, "ROOM", ROOM)


def told(value: Any) -> Any:
    """As it arrives where it is compared."""
    return json.loads(json.dumps(plain(value)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 1.0 + 1e-12),
        (float("nan"), float("nan")),
        ({"a": 1, "b": {2, 3}}, OrderedDict([("b", {3, 2}), ("a", 1)])),
        ([0.1] * 100, [0.1 + 1e-15] * 100),
        (np.arange(5.0), np.arange(5.0) * (1 + 1e-12)),
        (Point(1.0, kept={}), Point(1.0, kept={"cache": 1})),
        (Named(1.0, "x"), Named(1.0, "x")),
        (Slotted(2.0), Slotted(2.0)),
        (Shelf(1, "b"), Shelf(1, "b")),
        (iter([1]), (n for n in (1, 2))),
        (ValueError("no"), ValueError("no")),
        (Counter("aab"), {"a": 2, "b": 1}),
        (LONG, list(LONG)),
        ([[text] for text in LONG], [[text] for text in LONG]),
        (CYCLE, CYCLE),
        (1 << 70, 1 << 70),
    ],
)
def test_equal_values_are_told_alike(one: Any, other: Any) -> None:
    assert differs(told(one), told(other), "it") == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, True),
        (1.0, 1.001),
        (float("nan"), 1.0),
        (float("inf"), float("-inf")),
        ("1", 1),
        (b"1", "1"),
        ([1, 2], (1, 2)),
        ([1, 2], {1, 2}),
        ([1, 2], iter([1, 2])),
        ([0.1] * 100, [0.1] * 99 + [0.2]),
        ([1] * 100, [1.5] * 100),
        (np.arange(5.0), np.arange(6.0)),
        (np.arange(5), np.arange(5.0)),
        (np.array(["a", None], dtype=object), np.array(["b", None], dtype=object)),
        (Point(1.0), Point(2.0)),
        (Point(1.0), Slotted(1.0)),
        (Named(1.0, "x"), Named(1.0, "y")),
        (Shelf(1, "b"), Shelf(1, "c")),
        (ValueError("no"), KeyError("no")),
        (LONG, [*LONG[:-1], "x"]),
        (set(LONG), {*LONG[:-1], "x"}),
        ([LONG, LONG], [LONG, LONG[:-1]]),
        ([[text] for text in LONG], [[text] for text in LONG[:-1]] + [["x"]]),
        (dict.fromkeys(LONG, 1), dict.fromkeys(LONG, 2)),
        (list(range(3 * ROOM)), [*range(3 * ROOM - 1), 0]),
        (np.zeros(3 * ROOM), np.append(np.zeros(3 * ROOM - 1), 1.0)),
        (1 << 70, (1 << 70) + 1),
    ],
)
def test_other_values_are_told_apart(one: Any, other: Any) -> None:
    assert differs(told(one), told(other), "it")


@pytest.mark.parametrize("value", [None, True, "", [], {}, set(), b"", iter([1]), print, Point, Point(None), deque()])
def test_what_a_stub_could_give_says_nothing(value: Any) -> None:
    assert not says_something(told(value))


@pytest.mark.parametrize("value", [0, 0.0, "x", [None], {"a": 1}, Point(1.0), Named(None, "x"), np.zeros(2), Shelf(1)])
def test_what_is_computed_says_something(value: Any) -> None:
    assert says_something(told(value))


ODD = '''
import contextlib, functools

class Base:
    def name(self, *args, **options):
        return "base", args, options

class Case(Base):
    """Its docstring."""
    size: int = len("abc")

    @functools.lru_cache(maxsize=None)
    def cached(self, number: "int" = max(1, 2)) -> int:
        return number + 1

    def name(self, *args, **options):
        """Its own."""
        kept = super().name(*args, **options)
        first, *rest = [word.upper() for word in "b a".split()]
        table = {key: value for key, value in zip("xy", (1, 2))}
        table["z"] = table.pop("x") + 1
        total: int = 0
        for index, (left, right) in enumerate([(1, 2), (3, 4)]):
            total += left * right - index
        else:
            table.update(total=total)
        with contextlib.suppress(ZeroDivisionError):
            1 // (total - total)
        key = lambda item, by=abs(-1): item[0] if by else None
        del table["y"]
        if (found := sorted(table.items(), key=key)) and 0 < len(found) <= 3:
            table.clear()
        def inner(count=len(first)):
            nonlocal total
            total += self.cached(count)
            return f"{total!r:>{count + 3}} {first[0].lower()}"
        return kept, first, rest, found, inner(), sum(n for n in gen(3)), table, locals().keys() >= {"kept", "found"}

def gen(count):
    sent = yield count
    yield from range(count)

async def waiting():
    return await other(1)

async def other(number):
    return number + 1

def run():
    try:
        waiting().send(None)
    except StopIteration as end:
        awaited = end.value
    said = Case.__doc__, Case.name.__doc__, Case.cached.__wrapped__.__defaults__
    return Case().name(1, *[2], a=3, **{"b": 4}), said, awaited
'''


def test_what_is_observed_does_the_same_as_before() -> None:
    keeper, plainly, observed = Keeper(), {}, {"@keep": Keeper().keep}  # type: ignore[var-annotated]
    observed["@keep"] = keeper.keep
    exec(compile(ODD, "odd.py", "exec"), plainly)
    tree = Rewriter("odd.py", None).visit(ast.parse(ODD))
    exec(compile(ast.fix_missing_locations(tree), "odd.py", "exec"), observed)
    assert keeper.run(observed["run"]) == plainly["run"]()
    seen = keeper.take()
    assert len(seen) > 40
    assert {place.partition("#")[0] for place, _ in seen} >= {"odd.py::run", "odd.py::Case.name", "odd.py::other"}
    assert ("odd.py::Case.name", (0, 1, 2)) in [(place.partition("#")[0], value) for place, value in seen]  # the loop
    assert observed["run"]() == plainly["run"]()
    assert keeper.take() == []  # it was not told to look


def test_modules_of_the_suite_are_imported_with_the_chosen_places(tmp_path: Path) -> None:
    (tmp_path / "suite_of_two.py").write_text("def look(x):\n    return [len(x), abs(-1)]\n")
    (tmp_path / "suite_that_breaks.py").write_text("def look(x):\n    return len(x)\n")
    sys.path.insert(0, str(tmp_path))
    try:
        observe_imports(str(tmp_path), ["suite_of_two.py::look#0"], KEEPER)
        module = importlib.import_module("suite_of_two")
        assert KEEPER.run(lambda: module.look("abc")) == [3, 1]
        assert told_once([KEEPER.take()]) == [[["suite_of_two.py::look#0", 3]]]
        other = importlib.import_module("suite_that_breaks")
        assert KEEPER.run(lambda: other.look("abc")) == 3
        assert KEEPER.take() == []
    finally:
        sys.meta_path.pop(0)
        sys.path.pop(0)


def test_calls_that_are_looked_at_follow_the_seed() -> None:
    assert chosen_calls(1000, 5) == chosen_calls(1000, 5)
    assert {0, 999} <= chosen_calls(1000, 5)
    assert len({frozenset(chosen_calls(1000, seed)) for seed in range(20)}) == 20
    assert chosen_calls(1, 5) == {0}


def test_equal_calls_are_told_once() -> None:
    same, other = [("a", [1]), ("b", 2)], [("a", [1]), ("b", 3)]
    assert told_once([same, same, same]) == [[["a", {"list": [1]}], ["b", 2]]]
    assert len(told_once([same, other, same])) == 2


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("test_top", "return [('w0', 0)]"),  # what the test asserts, and no more
        ("test_top_many[30]", "return [None] * number"),
        ("test_top_writes", "return []"),
    ],
)
def test_a_patch_that_breaks_what_a_test_does_not_assert_is_seen(
    name: str, body: str, offers: dict[str, Proposal], kit: Kit, bench: Bench
) -> None:
    proposal = offers[name]
    assert proposal.results_compared
    words = kit.work / "human" / "kit" / "words.py"
    words.write_text(words.read_text().replace("return _ranked(count_words(text))[:number]", body))
    script = f"{proposal.script}\nNUMBER = 3\n"
    results = []
    for arm in (kit.base, kit.human):
        with ProbeSession(bench.sandbox, arm, bench.work) as probe:
            probe.load(script)
            probe.setup(1)
            probe.run()
            results.append(probe.result())
    assert all(b'"outcome": "passed"' in result for result in results)
    with ProbeSession(bench.sandbox, kit.base, bench.work, checker=True) as checker:
        checker.load(script)
        checker.check(results[0], results[0])
        with pytest.raises(CheckFailed, match="seen"):
            checker.check(*results)


def test_what_a_call_was_given_is_seen_beside_its_own_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fill(found)` returns None: only the list tells what it did."""
    code = "def fill(items):\n    items.append(len(items))\n"
    test = "from filling import fill\n\ndef run():\n    found = []\n    fill(found)\n    assert found\n    return 1\n"
    (tmp_path / "code").mkdir()
    (tmp_path / "suite").mkdir()
    (tmp_path / "code" / "filling.py").write_text(code)
    (tmp_path / "suite" / "seeing.py").write_text(test)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "suite"), str(tmp_path / "code"), *sys.path])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    survey = Survey()
    observe_imports(str(tmp_path / "suite"), None, survey)
    run = importlib.import_module("seeing").run
    root, targets = str(tmp_path / "code"), {"filling.py": [(1, 2, "filling.py::fill")]}
    places = surveyed(lambda: survey.look(run, targets, root))
    assert {place: said for place, (said, _) in places.items()} == {
        "seeing.py::run#0+": True,
        "seeing.py::run#1": False,
    }
