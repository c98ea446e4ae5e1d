"""Results of perf tests as bytes, without pickle: reading them runs no code and builds built-in types only.

The probe executes this file inside sandboxes, so it is standard library only, and Python 3.8 can read it. Encoded are
exact types: None, bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range, dates and times,
Decimal, Fraction, paths, UUIDs, enum members, namedtuples, dataclasses, numpy arrays and scalars, and a few containers
of `collections`. A subclass of list or dict is refused: it may compute its items when somebody looks.
"""
# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates

import array
import base64
import collections
import datetime
import decimal
import fractions
import functools
import json
import pathlib
import sys
import uuid
from typing import Any, Callable, Dict, List, Tuple

from tasks.sandbox.probe.inside.records import Computed, is_record, readers

MAX_BYTES = 256 * 1024 * 1024
_PLAIN = frozenset({type(None), bool, float, str})
_CODES = {float: "d", int: "q"}
_LONG = 32  # from here on, lists of floats or of integers travel as machine words: ten times faster than digits
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, not by C
_EXACT_INT = 1 << 62  # beyond it integers travel in hex: Python limits the decimal digits of a conversion


class Unserialisable(TypeError):
    """The value holds something that has no safe encoding; the message names its type and where it is."""


class Record:
    """A decoded dataclass or enum member: attributes and equality, none of the original's code."""

    def __init__(self, record_type: str, fields: Dict[str, Any]) -> None:
        self.__dict__.update(fields)
        self.__dict__["_record_type"] = record_type

    def __eq__(self, other: object) -> bool:
        return type(other) is Record and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.__dict__["_record_type"], tuple(self.__dict__)))

    def __repr__(self) -> str:
        inner = ", ".join("{}={!r}".format(*item) for item in self.__dict__.items() if item[0] != "_record_type")
        return f"{self.__dict__['_record_type']}({inner})"


def encode(value: Any) -> bytes:
    """Bytes of a value, equal for equal values (sets are sorted; dicts keep their order).

    Raises Unserialisable for other types, cycles, and values larger than MAX_BYTES.
    """
    try:
        data = json.dumps(_pack(value, "result"), separators=(",", ":")).encode()
    except RecursionError:
        raise Unserialisable("result is nested too deeply or contains itself") from None
    if len(data) > MAX_BYTES:
        raise Unserialisable(f"result takes {len(data) >> 20} MiB encoded; the limit is {MAX_BYTES >> 20} MiB")
    return data


def decode(data: bytes) -> Any:
    """The value again. Dataclasses and enum members come back as Record, namedtuples as namedtuples.

    Raises ValueError if the bytes are not an encoded value.
    """
    try:
        return _unpack(json.loads(data))
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise ValueError(f"not an encoded result: {type(error).__name__}: {error}") from error


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _pack(value: Any, where: str) -> Any:  # noqa: PLR0911 -- one return per form
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -_EXACT_INT < value < _EXACT_INT else ["int", hex(value)]
    if kind in _ITEMS:
        return [_ITEMS[kind], _pack_items(value, where)]
    if kind in (set, frozenset):
        return [kind.__name__, sorted((_pack(item, where) for item in value), key=json.dumps)]
    if kind in _MAPPINGS:
        pairs = [[_pack(key, f"key of {where}"), _pack(item, f"{where}[{key!r}]")] for key, item in dict.items(value)]
        return [_MAPPINGS[kind], pairs]
    if kind in _TEXT:
        return [_TEXT[kind][0], _TEXT[kind][1](value)]
    if is_record(kind):
        try:
            return [
                "record",
                _name(kind),
                [[name, _pack(read(value), f"{where}.{name}")] for name, read in readers(kind)],
            ]
        except Computed as error:
            raise Unserialisable(f"{where} is a {_name(kind)}, which has no safe encoding: {error}") from None
    if issubclass(kind, tuple) and type(getattr(kind, "_fields", None)) is tuple:
        fields = [str(name) for name in kind._fields]  # type: ignore[attr-defined]
        return ["namedtuple", kind.__name__, fields, _pack_items(tuple.__iter__(value), where)]
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and (kind is numpy.ndarray or is_numpy_scalar(numpy, kind)):
        return _pack_array(numpy, value, where)
    raise Unserialisable(f"{where} is a {_name(kind)}, which has no safe encoding; return built-in types or arrays")


def is_numpy_scalar(numpy: Any, kind: type) -> bool:
    """Whether it is one of numpy's own types of scalars, and no class that was made of one."""
    return issubclass(kind, numpy.generic) and not kind.__flags__ & _HEAP_TYPE


def _pack_items(items: Any, where: str) -> Any:
    found = list(items)
    kinds = set(map(type, found))
    if len(kinds) == 1 and len(found) >= _LONG:
        code = _CODES.get(next(iter(kinds)))
        try:
            if code:
                return {code: base64.b64encode(array.array(code, found).tobytes()).decode()}
        except OverflowError:
            pass  # integers beyond 64 bits
    if kinds <= _PLAIN:  # long lists of strings skip the recursion
        return found
    return [_pack(item, f"{where}[{index}]") for index, item in enumerate(found)]


def _pack_array(numpy: Any, value: Any, where: str) -> Any:
    if value.dtype.hasobject:
        if value.dtype.names:
            raise Unserialisable(f"{where} is a structured array that holds Python objects")
        return ["objects", list(value.shape), _pack_items(value.ravel().tolist(), where)]
    dtype = _pack(numpy.lib.format.dtype_to_descr(value.dtype), where)
    raw = base64.b64encode(numpy.ascontiguousarray(value).tobytes()).decode()
    return ["array" if isinstance(value, numpy.ndarray) else "scalar", dtype, list(value.shape), raw]


def _unpack(data: Any) -> Any:
    if type(data) is not list:
        if type(data) is dict:
            raise ValueError("not an encoded result: a bare object")
        return data
    tag = data[0]
    if tag in _READERS:
        return _READERS[tag](data[1])
    if tag == "record":
        return Record(data[1], {name: _unpack(item) for name, item in data[2]})
    if tag == "namedtuple":
        return _namedtuple(data[1], tuple(data[2]))(*_items(data[3]))
    if tag in ("array", "scalar", "objects"):
        return _unpack_array(data)
    raise ValueError(f"not an encoded result: unknown tag {tag!r}")


@functools.lru_cache(maxsize=256)  # making a class takes half a millisecond
def _namedtuple(name: str, fields: Tuple[str, ...]) -> Any:
    return collections.namedtuple(name, fields)


def _unpack_array(data: List[Any]) -> Any:
    import numpy

    if data[0] == "objects":
        items = _items(data[2])
        flat = numpy.empty(len(items), dtype=object)
        flat[:] = items
        return flat.reshape(data[1])
    dtype = numpy.lib.format.descr_to_dtype(_unpack(data[1]))
    array = numpy.frombuffer(base64.b64decode(data[3]), dtype=dtype).reshape(data[2]).copy()
    return array if data[0] == "array" else array[()]


def _items(items: Any) -> List[Any]:
    if type(items) is dict:
        ((code, words),) = items.items()
        numbers = array.array(code)
        numbers.frombytes(base64.b64decode(words))
        return numbers.tolist()
    return [_unpack(item) for item in items]


def _pairs(pairs: Any) -> Dict[Any, Any]:
    return {_unpack(key): _unpack(item) for key, item in pairs}


def _delta(value: datetime.timedelta) -> List[int]:
    return [value.days, value.seconds, value.microseconds]


_ITEMS: Dict[type, str] = {list: "list", tuple: "tuple", collections.deque: "deque"}
_MAPPINGS: Dict[type, str] = {
    dict: "dict",
    collections.OrderedDict: "OrderedDict",
    collections.Counter: "Counter",
    collections.defaultdict: "dict",
}
_TEXT: Dict[type, Tuple[str, Callable[[Any], Any]]] = {
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    bytearray: ("bytearray", lambda value: base64.b64encode(value).decode()),
    complex: ("complex", lambda value: [value.real, value.imag]),
    range: ("range", lambda value: [value.start, value.stop, value.step]),
    datetime.datetime: ("datetime", datetime.datetime.isoformat),
    datetime.date: ("date", datetime.date.isoformat),
    datetime.time: ("time", datetime.time.isoformat),
    datetime.timedelta: ("timedelta", _delta),
    decimal.Decimal: ("Decimal", str),
    fractions.Fraction: ("Fraction", str),
    uuid.UUID: ("UUID", str),
    pathlib.PosixPath: ("Path", str),
    pathlib.PurePosixPath: ("Path", str),
}
_READERS: Dict[str, Callable[[Any], Any]] = {
    "int": lambda data: int(data, 16),
    "list": _items,
    "tuple": lambda data: tuple(_items(data)),
    "deque": lambda data: collections.deque(_items(data)),
    "set": lambda data: set(_items(data)),
    "frozenset": lambda data: frozenset(_items(data)),
    "dict": _pairs,
    "OrderedDict": lambda data: collections.OrderedDict(_pairs(data)),
    "Counter": lambda data: collections.Counter(_pairs(data)),
    "bytes": base64.b64decode,
    "bytearray": lambda data: bytearray(base64.b64decode(data)),
    "complex": lambda data: complex(*data),
    "range": lambda data: range(*data),
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda data: datetime.timedelta(*data),
    "Decimal": decimal.Decimal,
    "Fraction": fractions.Fraction,
    "UUID": uuid.UUID,
    "Path": pathlib.PurePosixPath,
}
