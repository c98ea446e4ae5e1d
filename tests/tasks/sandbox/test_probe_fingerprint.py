"""Hashes of results and workloads: equal for equal values only, and nothing of what is hashed runs."""

from __future__ import annotations

import collections
import dataclasses
import enum
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings

from tasks.sandbox.probe.inside.encoding import Unserialisable, decode, encode
from tasks.sandbox.probe.inside.fingerprint import Fingerprint, shared
from tests.tasks.sandbox.test_probe_encoding import VALUES

PLAIN = [
    None, True, 1, 1.0, -0.0, 0.0, 1j, "a", b"a", bytearray(b"a"), [1], (1,), [], (), {}, set(), {1}, {1: 2}, {2: 1},
    [[]], [1, 2], [2, 1], {"a": 1, "b": 2}, {"b": 2, "a": 1}, range(3), [None], [False], ["a", 1], [1, "a"],
    [[1], [2, 3]], [[1, 2], [3]], [(1,), [1]], collections.deque([1]), np.zeros(3), np.zeros((3, 1)), np.zeros(3, "f4"),
    np.zeros(3, "i4"), np.float64(0), np.float32(0), np.array(0.0), np.array(["NaT"], "M8[s]"), float("nan"),
    np.array(["NaT"], "M8[D]"), float("inf"), -float("inf"), [0.0] * 40, [0] * 40, [-0.0] * 40, {(1, "a"), (2, "b")},
    np.array([1, "x"], object),
]  # fmt: skip


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: list[int]


@dataclasses.dataclass
class Shape:
    name: str
    points: list[int]


def test_values_of_other_types_or_contents_have_other_hashes() -> None:
    values = [*PLAIN, Colour.RED, Point(1, [2]), (1, [2]), Shape("a", [1]), Shape("a", [2])]
    assert len({Fingerprint(value).digest for value in values}) == len(values)


@given(VALUES, VALUES)
@settings(max_examples=60, deadline=None)
def test_hashes_are_equal_where_encodings_are(one: Any, other: Any) -> None:
    assert Fingerprint(decode(encode(one))).digest == Fingerprint(one).digest
    assert (Fingerprint(one).digest == Fingerprint(other).digest) == (encode(one) == encode(other))


def test_the_order_in_which_a_set_was_filled_does_not_matter() -> None:
    items = [f"w{number}" for number in range(100)]
    for kind in (str, lambda item: (item, len(item)), lambda item: frozenset([item])):
        one, other = ({kind(item) for item in order} for order in (items, items[::-1]))
        assert Fingerprint(one).digest == Fingerprint(other).digest


class Lazy(list[int]):
    def __iter__(self) -> Any:
        raise AssertionError("somebody looked")

    __len__ = __getitem__ = __reduce_ex__ = __eq__ = __iter__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class LazyKeys(dict[str, int]):
    def items(self) -> Any:
        raise AssertionError("somebody looked")

    keys = values = __iter__ = __len__ = items


@dataclasses.dataclass
class Late:
    value: Any = None


Late.value = property(lambda self: 1 / 0, lambda self, value: None)


class Hidden(enum.Enum):
    ONE = 1
    name = property(lambda self: 1 / 0)  # type: ignore[assignment]


class LateArray(np.ndarray):
    def tobytes(self, *_: Any) -> Any:  # type: ignore[override]
        raise AssertionError("somebody looked")


class LateNumber(np.float64):
    tobytes = LateArray.tobytes


class Elsewhere:
    __class__ = list  # type: ignore[assignment]
    __iter__ = Lazy.__iter__


WORKS_LATER = [
    Lazy([1]), LazyKeys(a=1), Late(), np.zeros(2).view(LateArray), LateNumber(1), Elsewhere(), iter([1]), {}.keys(),
    (n for n in [1]), map(str, [1]), np.memmap, memoryview(b"a"),
]  # fmt: skip


@pytest.mark.parametrize("value", WORKS_LATER, ids=lambda value: type(value).__name__)
def test_types_that_do_their_work_later_are_not_looked_into(value: Any) -> None:
    for place in (value, [value], {"a": (value, 1)}):
        with pytest.raises(TypeError):
            Fingerprint(place)
        with pytest.raises(Unserialisable):
            encode(place)
        assert Fingerprint(place, opaque=True).unseen


def test_members_and_fields_are_read_from_what_the_instance_holds() -> None:
    assert b"ONE" in encode(Hidden.ONE)
    assert Fingerprint(Hidden.ONE).digest != Fingerprint(Colour.RED).digest


def test_values_that_contain_themselves_have_no_hash() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="contains itself"):
        Fingerprint(loop)


ROWS: list[list[int]] = [[1], [2]]
TABLE = np.arange(6.0)
SHARING = [
    (ROWS, ROWS, "whole"), (ROWS[0], ROWS, "whole"), ([ROWS[0], [3]], ROWS, "part"), ([[1], [2]], ROWS, ""),
    (TABLE, TABLE, "whole"), (TABLE[::2], TABLE, "part"), (TABLE.copy(), TABLE, ""),
    ({"a": TABLE[1:]}, [TABLE], "part"), ("text", ["text"], ""), ((1, 2), [(1, 2)], ""),
]  # fmt: skip


@pytest.mark.parametrize(("result", "state", "said"), SHARING)
def test_what_of_a_result_is_the_input(result: Any, state: Any, said: str) -> None:
    assert shared(Fingerprint(result), Fingerprint(state)) == said
