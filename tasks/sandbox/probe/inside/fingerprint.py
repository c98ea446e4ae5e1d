"""Hashes of results and workloads, cheap enough for each call. The probe executes this file inside sandboxes: standard
library only, syntax of Python 3.8.

A list of ten thousand records is read column by column, so that nearly all the work is done by C: lengths, then all
items one level below, and so on. Equal hashes mean equal values of equal types, in the same order (sets have none; of
dicts it counts). Only exact types are looked into, by the methods of those types: nothing of the arm's runs.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import collections
import datetime
import decimal
import fractions
import itertools
import pathlib
import sys
import uuid
from hashlib import blake2b  # bound before anything of the arm can replace them
from marshal import dumps
from typing import Any, Dict, List, Set, Tuple

from tasks.sandbox.probe.inside.encoding import is_numpy_scalar
from tasks.sandbox.probe.inside.records import Computed, is_frozen, is_record, readers

SIZE = 16
"""Bytes of a hash."""
_FORMAT = 2  # of marshal: the last one without references, so that equal values are equal bytes
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray})
_ROWS: Dict[type, str] = {list: "list", tuple: "tuple", collections.deque: "deque"}
_MAPPINGS: Dict[type, str] = {
    dict: "dict",
    collections.OrderedDict: "OrderedDict",
    collections.Counter: "Counter",
    collections.defaultdict: "dict",
}
_SORTED = frozenset({int, float, str, bytes, tuple})
_TEXTS: Dict[type, Tuple[str, Any]] = {
    range: ("range", repr),
    datetime.datetime: ("datetime", datetime.datetime.isoformat),
    datetime.date: ("date", datetime.date.isoformat),
    datetime.time: ("time", datetime.time.isoformat),
    datetime.timedelta: ("timedelta", repr),
    decimal.Decimal: ("Decimal", str),
    fractions.Fraction: ("Fraction", str),
    uuid.UUID: ("UUID", str),
    pathlib.PosixPath: ("Path", str),
    pathlib.PurePosixPath: ("Path", str),
}


class Fingerprint:
    """The hash of a value, and which objects in it can be changed.

    Raises TypeError for types that have no safe encoding, unless `opaque`: then their name stands for them.
    """

    def __init__(self, value: Any, opaque: bool = False) -> None:
        self._opaque = opaque
        self._hash = blake2b(digest_size=SIZE)
        self.held: Set[int] = set()
        """Ids of containers and of memory that can be changed; valid as long as the value lives."""
        self.top: Set[int] = set()
        """The same of the value itself."""
        self.unseen = False
        """Whether names stand for some of it."""
        try:
            self._column([value])
        except RecursionError:
            raise TypeError("it is nested too deeply or contains itself") from None
        if id(value) in self.held:
            self.top = {id(value)}
        self.digest = self._hash.hexdigest()

    def _note(self, *words: Any) -> None:
        self._hash.update(dumps(words, _FORMAT))

    def _column(self, items: List[Any]) -> None:
        kinds = list(map(type, items))
        distinct = list(dict.fromkeys(kinds))
        if len(distinct) == 1:
            self._same(distinct[0], items)
            return
        place = {kind: index for index, kind in enumerate(distinct)}
        self._note("mixed", [place[kind] for kind in kinds])
        for kind in distinct:
            self._same(kind, [item for item, its in zip(items, kinds) if its is kind])  # noqa: B905 -- Python 3.8

    def _same(self, kind: type, items: List[Any]) -> None:
        """Items of one type."""
        if kind in _PLAIN:
            self._note(kind.__name__, items)
            if kind is bytearray:
                self.held.update(map(id, items))
        elif kind in _ROWS:
            self._rows(_ROWS[kind], kind, items)
            if kind is not tuple:
                self.held.update(map(id, items))
        elif kind in _MAPPINGS:
            self._mappings(_MAPPINGS[kind], items)
        elif kind in (set, frozenset):
            self._note(kind.__name__)
            self._rows("set", list, [self._in_order(item) for item in items])
            if kind is set:
                self.held.update(map(id, items))
        elif kind in _TEXTS:
            name, text = _TEXTS[kind]
            self._note(name, [text(item) for item in items])
        elif is_record(kind):
            self._records(kind, items)
        elif issubclass(kind, tuple) and type(getattr(kind, "_fields", None)) is tuple:
            self._note("namedtuple", kind.__name__, [str(name) for name in kind._fields])  # type: ignore[attr-defined]
            self._rows("tuple", tuple, items)
        else:
            self._others(kind, items)

    def _rows(self, name: str, base: Any, items: List[Any]) -> None:
        self._note(name, list(map(base.__len__, items)))
        below = list(itertools.chain.from_iterable(map(base.__iter__, items)))
        if below:
            self._column(below)

    def _mappings(self, name: str, items: List[Any]) -> None:
        self._note(name, list(map(dict.__len__, items)))
        keys = list(itertools.chain.from_iterable(map(dict.keys, items)))
        if keys:
            self._column(keys)
            self._column(list(itertools.chain.from_iterable(map(dict.values, items))))
        self.held.update(map(id, items))

    def _in_order(self, items: Any) -> List[Any]:
        """The items of a set, in an order that depends on nothing but them."""
        kinds = set(map(type, items))
        if len(kinds) < 2 and kinds <= _SORTED:
            try:
                return sorted(items)
            except TypeError:
                pass  # tuples of several types
        return sorted(items, key=lambda item: Fingerprint(item, self._opaque).digest)

    def _records(self, kind: type, items: List[Any]) -> None:
        self._note("record", f"{kind.__module__}.{kind.__qualname__}")
        try:
            for name, read in readers(kind):
                self._note(name)
                self._column([read(item) for item in items])
        except Computed as error:
            self._refuse(kind, items, f", since {error}")
        if not is_frozen(kind):
            self.held.update(map(id, items))

    def _others(self, kind: type, items: List[Any]) -> None:
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None and kind is getattr(numpy, "ndarray", None):
            for item in items:
                self._array(numpy, item)
        elif numpy is not None and is_numpy_scalar(numpy, kind):
            self._note("scalar", [item.dtype.str for item in items])
            self._note([item.tobytes() for item in items])
        else:
            self._refuse(kind, items, "")

    def _array(self, numpy: Any, array: Any) -> None:
        self._note("array", array.dtype.str, str(array.dtype), list(array.shape))
        if array.dtype.hasobject:
            if array.dtype.names:
                raise TypeError("a structured array that holds Python objects")
            if array.size:
                self._column(array.ravel().tolist())
        else:
            flat = numpy.ascontiguousarray(array).reshape(-1)
            if flat.nbytes:
                self._hash.update(memoryview(flat.view(numpy.uint8)))
        if array.flags.writeable:
            owner = array
            while getattr(owner, "base", None) is not None:
                owner = owner.base
            self.held.update((id(array), id(owner)))

    def _refuse(self, kind: type, items: List[Any], why: str) -> None:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if not self._opaque:
            raise TypeError(f"{name} has no safe encoding{why}")
        self.unseen = True
        self._note("opaque", name, len(items))


def shared(result: Fingerprint, state: Fingerprint) -> str:
    """What of a result is the caller's own input: `whole` (it is that, or a part of it), `part`, or nothing of it."""
    if result.top & state.held:
        return "whole"
    return "part" if result.held & state.held else ""
