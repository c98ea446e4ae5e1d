"""What the comparing process accepts: what the script accepts, if it is built as base's result is."""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import math
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tasks.sandbox.probe.inside import pickles
from tasks.sandbox.probe.inside.comparing import compare, told
from tasks.sandbox.probe.inside.dialects import Failure, GsoScript, IsobenchScript
from tasks.sandbox.probe.inside.encoding import Record, encode
from tasks.sandbox.probe.inside.storing import outline
from tasks.sandbox.probe.inside.structure import difference

NAN, INF = math.nan, math.inf
Pair = collections.namedtuple("Pair", "a b")
NAT = np.datetime64("NaT", "s")
ROW = [("a", "i4"), ("b", "f8")]
DAY = np.datetime64("2024-02-29", "s")

ALIKE: list[tuple[Any, Any]] = [
    (1, 1.5), (1, np.int64(2)), (1.0, np.float32(2)), (1.0, np.array(2.0)), (True, np.bool_(False)), (0.0, -0.0),
    ("a", "b"), ("", ""), (b"a", bytearray(b"b")), ([1], (2,)), (Pair(1, 2), (3, 4)), ([], ()), ({1}, frozenset({2})),
    ({"a": 1}, collections.OrderedDict(a=2)), ({"a": 1, "b": 2}, {"b": 1, "a": 2}), ({1.0: 2}, {1.0000001: 2}),
    ({}, collections.Counter()), ([NAN, 1], [NAN, 2]), ([INF], [INF]), (np.zeros(3), np.zeros(3, "f4")),
    (np.array([1, NAN]), np.array([2, NAN])), (np.zeros(2, "i4"), np.zeros(2)), (np.array([NAT]), np.array([NAT])),
    (np.array(["ab"]), np.array(["abc"])), (np.array([1, None, "x"], object), np.array([2, None, "y"], object)),
    (Record("a.B", {"x": 1}), Record("c.D", {"x": 2})), (decimal.Decimal(1), decimal.Decimal(2)), (None, None),
    (datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)), (np.zeros((0, 3)), np.zeros((0, 3))), (DAY, DAY + 1),
]  # fmt: skip

NOT_ALIKE: list[tuple[Any, Any, str]] = [
    ([1.0], [NAN], "the result[0] is NaN where base has a value"), (NAN, 1.0, "is a value where base has NaN"),
    ([1, 2.0], [1, NAN], "the result[1] is NaN"), (1.0, INF, "is infinity"), (INF, -INF, "is -infinity"),
    ([NAN, 1], [1, NAN], "the result[0] is a value where base has NaN"), ([1j], [complex(0, NAN)], "is NaN"),
    ([1] * 99, [*[1] * 98, INF], "the result[98] is infinity"), (DAY, NAT, "is NaT"),
    (decimal.Decimal(1), decimal.Decimal("NaN"), "is NaN"), (1, None, "is None where base has a number"),
    (None, 1, "is a number where base has None"), (1, True, "is a truth value where base has a number"),
    (1.0, 1j, "is a complex number"), ("a", b"a", "is a bytes where base has a str"), ("1", 1, "is a number"),
    ("a", "", "the result is empty, base's is not"), (b"", b"a", "the result is not empty, base's is"),
    ([1, 2], [1], "the result has 1 items where base has 2"), ([1], [], "has 0 items"), ([1], [1, 1], "has 2 items"),
    ([1], {1}, "is a set where base has a list"), ([1], np.array([1]), "is an array of int64 where base has a list"),
    (np.zeros(1), [0.0], "is a list where base has an array"), ([1], collections.deque([1]), "is a deque"),
    ([0, 1], range(2), "is a range"), ({"a": 1}, {"b": 1}, "the result has no 'a'"), ({"a": 1}, {}, "has 0 items"),
    ({"a": [1]}, {"a": [NAN]}, "the result['a'][0] is NaN"), ({1, 2}, {1}, "has 1 items"), ({1.5}, {NAN}, "has NaN"),
    (np.zeros(3), np.zeros((3, 1)), "has the shape (3, 1) where base has (3,)"),
    (np.zeros(2), np.zeros(2, "?"), "of bool"),
    (np.zeros(9), np.full(9, NAN), "has 9 NaN where base has 0"), (np.array([NAN, 1]), np.array([1, NAN]), "elsewhere"),
    (np.zeros(2), np.array([0, -INF]), "has 1 negative infinities"), (np.array([DAY]), np.array([NAT]), "has 1 NaT"),
    (np.zeros(2, "i8"), np.array([NAN, 0]), "has 1 NaN"), (np.zeros(2, "f4"), np.zeros(2, "M8[s]"), "datetime64"),
    (np.array([(1, 2.0)], ROW), np.array([(1, NAN)], ROW), "['b'] has 1 NaN"),
    (np.array([1.0], object), np.array([NAN], object), "the result[0] is NaN"),
    (Record("a.B", {"x": 1}), Record("a.B", {"y": 1}), "has the fields y where base has x"),
    (Record("a.B", {"x": 1}), Record("a.B", {"x": None}), "the result.x is None"),
    (1, Record("a.B", {}), "is a Record"),
    (datetime.date(2024, 1, 1), "2024-01-01", "is a str where base has a date"),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "candidate"), ALIKE)
def test_what_only_the_script_can_judge_is_left_to_it(reference: Any, candidate: Any) -> None:
    assert difference(reference, candidate) == ""
    assert difference([reference, {"a": reference}], [candidate, {"a": candidate}]) == ""


@pytest.mark.parametrize(("reference", "candidate", "said"), NOT_ALIKE)
def test_what_is_built_otherwise_is_told_with_its_place(reference: Any, candidate: Any, said: str) -> None:
    assert said in difference(reference, candidate)
    assert difference([reference], [candidate]) != ""
    assert difference(reference, reference) == ""


def test_places_do_not_count_where_order_does_not() -> None:
    reference: list[Any] = [["a", [1, 2]], ["b", [NAN]], {"k": np.array([INF, 1])}]
    candidate = [{"k": np.array([1, INF])}, ["b", [NAN]], ["a", [1, 2]]]
    assert difference(reference, candidate) != ""
    assert difference(reference, candidate, ordered=False) == ""


class Table:
    """A class of a library's, whose values numpy can tell."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.array(self.values)


def test_tables_and_tensors_are_looked_into() -> None:
    assert difference(Table(1, NAN), Table(2, NAN)) == ""
    assert difference(Table(1, 2), Table(1, NAN)) == "the result has 1 NaN where base has 0, or has them elsewhere"


def script(check: str, gso: bool = False) -> Any:
    module = types.ModuleType("script")
    exec("import json, math\nsetup = experiment = lambda *_: None\n" + check, module.__dict__)
    return (GsoScript if gso else IsobenchScript)(module)


@pytest.fixture(autouse=True)
def not_armed() -> Iterator[None]:
    """Comparing holds pickles of its process to data, and this process goes on."""
    yield
    pickles.DataOnly.armed = False


def plain(value: Any) -> bytes:
    return b"v" + encode(value)


NEAR = """
def check_equivalence(reference, candidate):
    for one, other in zip(reference, candidate):
        if abs(one - other) > 1e-9:
            raise AssertionError("far")
"""
ANY_ORDER = "def check_equivalence(reference, candidate):\n    assert sorted(reference) == sorted(candidate)\n"
EATS = "def check_equivalence(reference, candidate):\n    reference.clear(), candidate.clear()\n"
FLATTENS = "def check_equivalence(reference, candidate):\n    assert set(reference) == set(candidate)\n"
AGREES = "def check_equivalence(reference, candidate):\n    pass\n"

COMPARED: list[tuple[str, Any, Any, str]] = [
    (NEAR, [1.0, 2.0], [1.0, 2.0 + 1e-12], ""),
    (NEAR, [1.0, 2.0], [1.0, NAN], r"\[1\] is NaN .*check_equivalence accepts"),
    (NEAR, [NAN, 1.0], [1.0, NAN], "a value"),
    (NEAR, [NAN, 1.0], [NAN, 1.0 + 1e-12], ""),
    (NEAR, [NAN, 1.0, 2.0], [1.0, NAN, 2.0], "a value where base has NaN"),
    (NEAR, [1.0, 2.0], [], "has 0 items where base has 2"), (NEAR, [1.0], [1.0, 5.0], "has 2 items"),
    (NEAR, [1.0, 2.0], [1.0, 3.0], "^AssertionError: far$"), (NEAR, [0.0], [-0.0], ""), (NEAR, [1.0], (1.0,), ""),
    (ANY_ORDER, [[1], [2, 3]], [[2, 3], [1]], ""), (ANY_ORDER, [[1], [2, 3]], [[2, 3], [4]], "AssertionError"),
    (ANY_ORDER, ["b", ""], ["", "b"], ""), (EATS, [1], [2], ""), (EATS, [1], [1, 2], "has 2 items"),
    (FLATTENS, [1, 1, 2], [1, 2], "has 2 items"), (AGREES, [1, 2], [1, None], "is None"), (AGREES, [1], None, "None"),
    (AGREES, [NAN, 1.0], [1.0, NAN], "is a value where base has NaN"), (AGREES, [[1], [2, 3]], [[2, 3], [1]], ""),
]  # fmt: skip


@pytest.mark.parametrize(("check", "reference", "candidate", "said"), COMPARED)
def test_a_check_that_is_too_kind_is_helped(check: str, reference: Any, candidate: Any, said: str) -> None:
    if not said:
        compare(script(check), plain(reference), plain(candidate))
        return
    with pytest.raises(Failure, match=said) as caught:
        compare(script(check), plain(reference), plain(candidate))
    assert caught.value.kind == "mismatch"


STORED = """
def store_result(result, path):
    with open(path, "w") as file:
        json.dump(list(result), file)
def load_result(path):
    with open(path) as file:
        return json.load(file)
"""


def test_a_reference_is_compared_as_it_was_and_given_as_it_is_stored() -> None:
    check = "def check_equivalence(ref, cur):\n    assert type(ref) is list and tuple(ref) == cur\n"
    compare(script(check + STORED, gso=True), plain((1, 2)), plain((1, 2)))
    with pytest.raises(Failure, match="has 0 items"):
        compare(script(AGREES + STORED, gso=True), plain((1, 2)), plain(()))


class Ours(dict):  # type: ignore[type-arg]
    pass


class Theirs(Ours):
    pass


KINDS: list[tuple[Any, Any, str]] = [
    (iter([1]), map(str, [1]), ""), ((n for n in [1]), iter([2]), ""), (Ours(), Theirs(), ""),
    (Theirs(), Ours(), "Ours"), ([Ours()], (Ours(), Theirs()), ""),
    ({"a": iter([1])}, {"b": (n for n in [1])}, ""), ({}.keys(), {1: 2}.keys(), ""),
    ({}.keys(), {}.values(), "dict values where base has dict keys"), (Ours(), iter([1]), "is iterator where base has"),
    ([Ours()], [iter([1])], "list of iterator where base has list of"), ([Ours()], Ours(), "where base has list of"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "ours", "said"), KINDS)
def test_types_that_only_the_script_can_store_are_told(base: Any, ours: Any, said: str) -> None:
    blobs = [b"f" + json.dumps(outline(value)).encode() + b"\0\0[1]" for value in (base, ours)]
    if not said:
        compare(script(AGREES + STORED), *blobs)
        return
    with pytest.raises(Failure, match=said):
        compare(script(AGREES + STORED), *blobs)


@pytest.mark.parametrize("lazy_is", ["base", "ours"])
def test_plain_data_is_not_what_does_its_work_later(lazy_is: str) -> None:
    lazy = b"f" + json.dumps(outline(iter([1]))).encode() + b"\0\0[1]"
    blobs = (lazy, plain([1])) if lazy_is == "base" else (plain([1]), lazy)
    with pytest.raises(Failure, match="plain data"):
        compare(script(AGREES + STORED), *blobs)


@pytest.mark.parametrize("broken", [b"", b"f", b"f\0", b"f[[[\0\0[1]", b"f" + b"[" * 5000 + b"\0\0[1]", b"x", b"v{}"])
def test_a_candidate_without_form_is_a_mismatch(broken: bytes) -> None:
    with pytest.raises(Failure) as caught:
        compare(script(AGREES + STORED), plain([1]), broken)
    assert caught.value.kind == "mismatch"


def test_inputs_that_differ_are_told() -> None:
    assert told(plain([1, 2]), plain([])) == "the input has 0 items where base has 2"
    assert told(plain([1, 2]), b"") == told(plain([1, 2]), b"vnothing") == ""
