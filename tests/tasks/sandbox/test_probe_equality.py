"""Equal means equal: what an arm's calls leave behind and reach for, against what base's do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks.sandbox.probe.inside.probe import Probe
from tasks.sandbox.probe.protocol import ProbeError
from tasks.sandbox.probe.results import Digests

SCRIPT = """
import random
from importlib import import_module

TIMES = 3

def work(values):
    return import_module("arm_of_a_test").work(values)

def setup(seed):
    rng = random.Random(seed)
    return {"numbers": [rng.random() for _ in range(20)], "rest": [[1], [2]]}

def experiment(state):
    others = [sum(state["numbers"]) for _ in range(TIMES)]
    return work(state["numbers"])

def check_equivalence(reference, candidate):
    for one, other in zip(reference, candidate):
        if abs(one - other) > 1e-9:
            raise AssertionError((one, other))
"""


class Twice:
    """One perf test in two probes of this process: of base, and of an arm."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: str = SCRIPT) -> None:
        self.monkeypatch, self.script = monkeypatch, script

    def probe(self, work: Callable[..., Any], seed: int = 1, count: int = 2, dialect: str = "isobench") -> Probe:
        arm = type(sys)("arm_of_a_test")
        arm.work = work  # type: ignore[attr-defined]
        self.monkeypatch.setitem(sys.modules, "arm_of_a_test", arm)
        self.monkeypatch.delitem(sys.modules, "perf_test", raising=False)
        probe = Probe()
        probe.load(self.script, dialect)
        probe.setup(seed, count, True)
        probe.run(count, "cpu", 0)
        return probe

    def digests(self, work: Callable[..., Any], **how: Any) -> Digests:
        return Digests.of(self.probe(work, **how).digests([0, 1]), 2)


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> Iterator[Twice]:
    yield Twice(monkeypatch)
    sys.setprofile(None)
    sys.modules.pop("perf_test", None)


def honest(values: list[float]) -> list[float]:
    return [value * 2 for value in values]


def eats(values: list[float]) -> list[float]:
    found = honest(values)
    values.clear()
    return found


def sorts(values: list[float]) -> list[float]:
    found = honest(values)
    values.sort()
    return found


def same(values: list[float]) -> list[float]:
    return values


def copied(values: list[float]) -> list[float]:
    return list(values)


def caller(depth: int) -> dict[str, Any]:
    """Globals of the perf test, from within its call."""
    frame: Any = sys._getframe(depth)
    while frame.f_globals["__name__"] != "perf_test":
        frame = frame.f_back
    return frame.f_globals


def fast(state: dict[str, list[float]]) -> list[float]:
    return honest(state["numbers"])


def replaces_experiment(values: list[float]) -> list[float]:
    caller(1)["experiment"] = fast
    return honest(values)


def replaces_code(values: list[float]) -> list[float]:
    caller(1)["experiment"].__code__ = (lambda state: [value * 2 for value in state["numbers"]]).__code__
    return honest(values)


def replaces_constant(values: list[float]) -> list[float]:
    caller(1)["TIMES"] = 1
    return honest(values)


def replaces_helper(values: list[float]) -> list[float]:
    caller(1)["work"] = honest
    return honest(values)


def replaces_in_the_module(values: list[float]) -> list[float]:
    sys.modules["perf_test"].setup = lambda seed: {"numbers": [], "rest": []}  # type: ignore[attr-defined]
    return honest(values)


def replaces_a_builtin(values: list[float]) -> list[float]:
    caller(1)["__builtins__"] = {**caller(1)["__builtins__"], "range": lambda number: [0]}
    return honest(values)


def waits_with_a_hook(values: list[float]) -> list[float]:
    sys.setprofile(lambda *_: None)
    return honest(values)


def swaps_for_one_call(values: list[float]) -> list[float]:
    """The first call of a batch replaces the experiment's code; the code that it brings puts the old one back."""
    function = caller(1)["experiment"]
    function.__defaults__ = (function.__code__,)
    function.__code__ = brought.__code__
    return honest(values)


def brought(state: dict[str, list[float]], code: Any = None) -> list[float]:
    """Has no names but built-in ones: it runs with the perf test's globals."""
    import sys

    function = sys.modules["perf_test"].experiment  # type: ignore[attr-defined]
    function.__code__, function.__defaults__ = code, None
    return [value * 2 for value in state["numbers"]]


FAULTS = {
    "empties the input": (honest, eats, "changes the caller's input, which base leaves as it is"),
    "sorts the input": (honest, sorts, "changes the caller's input, which base leaves as it is"),
    "leaves the input": (sorts, honest, "leaves the caller's input as it is, which base changes"),
    "another change": (sorts, eats, "changes the caller's input in another way than base"),
    "the input itself": (copied, same, "returns the caller's own input, where base returns something new"),
    "experiment": (honest, replaces_experiment, "changes the perf test's own experiment"),
    "its code": (honest, replaces_code, "changes the perf test's own calls, experiment"),
    "a constant": (honest, replaces_constant, "changes the perf test's own TIMES"),
    "a helper": (honest, replaces_helper, "changes the perf test's own work"),
    "by sys.modules": (honest, replaces_in_the_module, "changes the perf test's own setup"),
    "by a hook": (honest, waits_with_a_hook, "changes the perf test's own calls, which are watched"),
    "a built-in function": (honest, replaces_a_builtin, "changes the perf test's own range"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_an_arm_does_otherwise_than_base_is_named(name: str, twice: Twice) -> None:
    base, arm, said = FAULTS[name]
    expected, found = twice.digests(base), twice.digests(arm)
    assert found.fault(expected).startswith(said)
    assert expected.fault(expected) == ""
    assert found.differing(expected) == []


def test_code_that_is_back_when_the_batch_ends_was_seen_between_its_calls(twice: Twice) -> None:
    found = twice.digests(swaps_for_one_call)
    assert "experiment, between two calls" in found.fault(twice.digests(honest))


@pytest.mark.parametrize("work", [honest, sorts, same, copied])
def test_who_does_what_base_does_is_not_accused(work: Callable[..., Any], twice: Twice) -> None:
    assert twice.digests(work).fault(twice.digests(work)) == ""


def test_workloads_that_differ_from_the_start_tell_only_whether_they_were_changed() -> None:
    def digests(before: str, after: str) -> Digests:
        hashes = {"results": ["0" * 32], "before": [before * 32], "inputs": [after * 32], "shared": [""]}
        return Digests.of({**hashes, "script": {}}, 1)

    base = digests("1", "1")  # the path of a temporary file, say
    assert digests("2", "2").fault(base) == ""
    assert digests("2", "3").fault(base)
    assert digests("2", "3").fault(digests("1", "4")) == ""


FORGED = [
    {"results": ["0"]}, {"results": []}, {"results": [None]}, {"results": ["0" * 32] * 2}, {"inputs": [1]},
    {"shared": ["x"]}, {"shared": [[]]}, {"before": ["g" * 32]}, {"script": {"a": 1}}, {"script": []},
    {"script": {str(number): "1" * 32 for number in range(3000)}},
]  # fmt: skip


@pytest.mark.parametrize("forged", FORGED)
def test_hashes_that_are_none_are_no_answer(forged: dict[str, Any]) -> None:
    good = {
        "results": ["0" * 32],
        "inputs": [None],
        "before": ["0" * 32],
        "shared": ["part"],
        "script": {"a": "1" * 32},
    }
    assert Digests.of(good, 1).results == ["0" * 32]
    with pytest.raises(ProbeError, match=r"hash|is not"):
        Digests.of({**good, **forged}, 1)


def test_inputs_are_those_of_the_calls_that_were_run(twice: Twice) -> None:
    probe = twice.probe(honest, count=4)
    probe.run(2, "cpu", 2)
    found = Digests.of(probe.digests([0, 1]), 2)
    assert found.inputs == found.before
    assert found.before != Digests.of(twice.probe(honest, count=2).digests([0, 1]), 2).before


def test_sharing_that_only_base_does_is_no_fault(twice: Twice) -> None:
    assert twice.digests(copied).fault(twice.digests(same)) == ""
