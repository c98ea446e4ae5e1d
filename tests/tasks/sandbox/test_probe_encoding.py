"""The encoding gives back what it was given, refuses what it cannot hold, and never runs code."""

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import math
import pathlib
import pickle
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sandbox.probe.inside.encoding import Record, Unserialisable, decode, encode

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Shape:
    name: str
    points: list


class Colour(enum.Enum):
    RED = 1


NUMBERS = st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text() | st.binary()
HASHABLE = st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE)
        | st.frozensets(HASHABLE)
    ),
    max_leaves=30,
)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_values_come_back_with_their_types(value):
    found = decode(encode(value))
    assert found == value
    assert type(found) is type(value)
    assert encode(found) == encode(value)


@pytest.mark.parametrize(
    "value",
    [
        [1.5] * 40, [2**62] * 40, [2**70] * 40, list(range(-50, 50)), [True] * 40, ["d", "x"], -0.0, math.inf,
        collections.OrderedDict(b=1, a=2), collections.Counter("abca"), collections.deque([1, 2]), range(3, 30, 4),
        datetime.datetime(2024, 2, 29, 12, 30, 1, 5, datetime.UTC), datetime.date(2024, 1, 1), datetime.time(1, 2),
        datetime.timedelta(days=-1, microseconds=7), decimal.Decimal("1.10"), fractions.Fraction(1, 3), bytearray(b"x"),
        uuid.UUID(int=5), pathlib.PurePosixPath("/a/b"), Point(1, [2]),
    ],
)  # fmt: skip
def test_further_types(value):
    found = decode(encode(value))
    assert found == value
    assert str(type(found)).split(".")[-1] == str(type(value)).split(".")[-1]


def test_integers_of_any_size():
    assert decode(encode(10**5000)) == 10**5000


def test_nan_stays_nan():
    assert math.isnan(decode(encode(math.nan)))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="<i4").reshape(2, 3), np.array(3.5), np.zeros((0, 4)), np.asfortranarray(np.eye(3)),
        np.array(["2024-01-01"], dtype="M8[ns]"), np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([1, "x", None], dtype=object), np.array([1.0, 2.0] * 20, dtype=object), np.array(["a", "bc"]),
        np.array([1 + 2j]), np.array([True, False]),
    ],
)  # fmt: skip
def test_arrays(array):
    found = decode(encode(array))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array)


def test_numpy_scalars_keep_their_type():
    assert type(decode(encode(np.float32(0.1)))) is np.float32
    assert decode(encode(np.float64(0.1))) == 0.1


def test_dataclasses_and_enums_become_records():
    one, same, other = (decode(encode(Shape("a", [number]))) for number in (1, 1, 2))
    assert type(one) is Record
    assert one == same != other
    assert (one.name, one.points) == ("a", [1])
    assert decode(encode(Colour.RED)).value == 1


def test_order_of_sets_does_not_matter():
    assert encode({"b", "a", "c"}) == encode({"c", "b", "a"})


class Lazy(list):
    def __iter__(self):
        raise AssertionError("the encoding looked inside")


@pytest.mark.parametrize("value", [Lazy([1]), object(), (item for item in [1]), lambda: 1, {"a": [map(str, [1])]}, ...])
def test_other_types_are_refused_with_their_place(value):
    with pytest.raises(Unserialisable, match="has no safe encoding"):
        encode(value)


def test_cycles_are_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(Unserialisable, match="contains itself"):
        encode(loop)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'["nope", 1]', b'["int", "zz"]', b'["bytes", "x"]', b'{"a": 1}', pickle.dumps([1]),
     json.dumps(["list", {"d": "AA"}]).encode(), b'["array", "nonsense", [1], ""]', b"[" * 5000],
)  # fmt: skip
def test_what_is_not_an_encoded_value_is_refused(data):
    with pytest.raises(ValueError, match=r".*"):
        decode(data)
