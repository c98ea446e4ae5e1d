"""What a call returned as JSON, and where two such values differ. Inside sandboxes, as a part of other texts.

Standard library only, syntax of Python 3.8. Of a type that is not known here count: its name, the items that it holds,
its public attributes, and its text without addresses. Attributes that begin with an underscore are nobody's business: a
patch may keep what it likes there.
"""

from __future__ import annotations

import array
import base64
import collections.abc
import hashlib
import json
import math
import re
import sys
import types
from typing import Any

ROOM = 100_000  # values of one result told one by one; what is larger is told by its hash
DEEPEST = 12
MOST_WORK = 400_000  # values, and texts by their length, that are looked at in all that one call of a body gave
OBJECT = 20  # what looking at an object costs, in values of a list
LEFT = [math.inf]  # of that work
PACKED = 32  # from here on, lists of floats or of integers travel as machine words
AS_THEY_ARE = {type(None), bool, float, str}
SCALARS = {type(None), bool, int, float, str}
CODES = {float: "d", int: "q"}
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
VIEWS = (collections.abc.KeysView, collections.abc.ValuesView, collections.abc.ItemsView)
NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)


def plain(value: Any, room: Any = None, depth: int = 0) -> Any:  # noqa: PLR0911, PLR0912 -- one return per form
    """A value as JSON: scalars as they are, all else as an object with one key, its form."""
    room = [ROOM] if room is None else room
    room[0] -= 1
    kind = type(value)
    if kind in AS_THEY_ARE:
        return value
    if isinstance(value, (str, float)):
        return _scalar(value)
    if isinstance(value, int):
        return int(value) if abs(value) < 1 << 62 else {"int": hex(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    LEFT[0] -= 1
    if depth > DEEPEST or LEFT[0] < 0:
        return {"deep": kind_of(value)}
    if kind is list or kind is tuple:
        return {kind.__name__: _items(value, room, depth)}
    if isinstance(value, dict):
        return {"dict": _unordered(dict.items(value), room, depth)}
    if isinstance(value, collections.abc.Iterator):
        return {"iterator": ""}  # to look into it would use it up
    if isinstance(value, BaseException):
        return {"raised": [kind_of(value), plain(list(value.args), room, depth + 1)]}
    if isinstance(value, NAMED):
        return {"named": str(getattr(value, "__qualname__", getattr(value, "__name__", "")))}
    found = _array(value, room, depth)
    if found is not None:
        return found
    if isinstance(value, (list, tuple, *VIEWS)):
        return {"tuple" if isinstance(value, tuple) else "list": _items(list(value), room, depth)}
    if isinstance(value, (set, frozenset)):
        return {"set": _unordered(value, room, depth)}
    return {"object": [kind_of(value), *_parts(value, room, depth)]}


def kind_of(value: Any) -> str:
    """The name of a type."""
    return type(value).__name__


def says_something(told: Any) -> bool:
    """Whether a plain value could be wrong in more than one way: not nothing, empty, a truth value or a bare type."""
    if told is None or isinstance(told, bool) or told in ("", {"bytes": ""}):
        return False
    if not isinstance(told, dict):
        return True
    [(form, content)] = told.items()
    if form in ("deep", "iterator", "named"):
        return False
    if form == "object":
        _, items, attributes, text = content
        if items is not None:
            return bool(items)
        return bool(text) or any(says_something(item) for item in attributes.values())
    return content != []


def differs(one: Any, other: Any, where: str) -> str:  # noqa: PLR0911
    """Where two plain values differ, or nothing; floats to six digits. `one` is the reference: of objects, `other` may
    have further attributes."""
    if isinstance(one, float) or isinstance(other, float):
        numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (one, other))
        return "" if numbers and _close(one, other) else f"{where}: {one!r} and {other!r}"[:500]
    if type(one) is not type(other):
        return f"{where}: {one!r} and {other!r}"[:500]
    if isinstance(one, list):
        if len(one) != len(other):
            return f"{where}: {len(one)} and {len(other)} items"
        pairs = enumerate(zip(one, other))  # noqa: B905
        return next(filter(None, (differs(a, b, f"{where}[{n}]") for n, (a, b) in pairs)), "")
    if not isinstance(one, dict):
        return "" if one == other else f"{where}: {one!r} and {other!r}"[:500]
    if set(one) != set(other):
        return f"{where}: {'/'.join(one)} and {'/'.join(other)}"
    [form] = one
    if form == "object":
        return _differing_objects(one[form], other[form], where)
    if form in ("numbers", "array"):
        return _differing_numbers(one[form], other[form], where)
    return differs(one[form], other[form], where)


def _scalar(value: Any) -> Any:
    """Of subclasses the value that they stand for."""
    if isinstance(value, str):
        return str.__str__(value)
    return float(value) if isinstance(value, float) else value


def _items(items: Any, room: Any, depth: int) -> Any:
    kinds = set(map(type, items))
    if len(items) >= PACKED and len(kinds) == 1 and kinds <= CODES.keys():
        code = CODES[kinds.pop()]
        try:
            return {"numbers": [code, len(items), base64.b64encode(array.array(code, items).tobytes()).decode()]}
        except OverflowError:
            pass  # integers beyond 64 bits
    if len(items) > room[0]:
        scalars = [json.dumps(items).encode()] if kinds <= SCALARS else None
        return {"hash": [len(items), _hash(scalars or (_digest(item, depth) for item in items))]}
    if kinds <= AS_THEY_ARE:
        room[0] -= len(items)
        return list(items)
    return [plain(item, room, depth + 1) for item in items]


def _unordered(items: Any, room: Any, depth: int) -> Any:
    """In the order of their text."""
    if len(items) > room[0]:
        pairs = [item if type(item) is tuple else (item, None) for item in items]
        simple = all(type(x) in SCALARS for pair in pairs for x in pair)
        if simple and len({type(pair[0]) for pair in pairs}) == 1:
            digests = [json.dumps(sorted(pairs, key=first)).encode()]
        else:
            digests = sorted(_digest(item, depth) for item in items)
        return {"hash": [len(items), _hash(digests)]}
    return sorted((plain(item, room, depth + 1) for item in items), key=lambda item: json.dumps(item, sort_keys=True))


def first(pair: Any) -> Any:
    """What pairs are sorted by."""
    return pair[0]


def _digest(item: Any, depth: int) -> bytes:
    return hashlib.sha256(json.dumps(plain(item, None, depth + 1), sort_keys=True).encode()).digest()


def _hash(pieces: Any) -> str:
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()


def _array(value: Any, room: Any, depth: int) -> Any:
    """Arrays, and what gives itself as one (a data frame); None for all else."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(type(value), "__array__"):
        return None
    try:
        found = numpy.asarray(value)
        if found.dtype.hasobject:
            return {"object": [kind_of(value), _items(list(found.ravel()), room, depth), {}, str(found.shape)]}
        raw = base64.b64encode(numpy.ascontiguousarray(found).tobytes()).decode()
        return {"array": [found.dtype.str, list(found.shape), raw]}
    except Exception:
        return None


def _parts(value: Any, room: Any, depth: int) -> list:
    """Items, public attributes and text of an object; what raises when it is looked at is left out."""
    items: Any = None
    if isinstance(value, collections.abc.Collection):
        try:
            pairs = isinstance(value, collections.abc.Mapping)
            items = _items(list(value.items()) if pairs else list(value), room, depth)  # type: ignore[attr-defined]
        except Exception:
            items = None
    LEFT[0] -= OBJECT
    names = [*getattr(value, "__dict__", ()), *(name for kind in type(value).__mro__ for name in _slots(kind))]
    attributes = {}
    for name in names if room[0] > 0 else ():
        if isinstance(name, str) and not name.startswith("_"):
            try:
                attributes[name] = plain(getattr(value, name), room, depth + 1)
            except Exception:
                continue
    return [items, attributes, _text(value)]


def _slots(kind: type) -> Any:
    found = kind.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _text(value: Any) -> str:
    """What it says of itself, if its type says something of its own."""
    kind = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return ""
    try:
        text = ADDRESS.sub("", str(value))
    except Exception:
        return ""
    LEFT[0] -= len(text) // 4  # trees write themselves out at every level
    return text if len(text) <= ROOM else f"{len(text)} {hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def _close(one: Any, other: Any) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) or repr(one) == repr(other)


def _differing_objects(one: list, other: list, where: str) -> str:
    if one[0] != other[0]:
        return f"{where}: {one[0]} and {other[0]}"
    for name, value in one[2].items():
        if name not in other[2]:
            return f"{where}: no attribute {name}"
        found = differs(value, other[2][name], f"{where}.{name}")
        if found:
            return found
    return differs([one[1], one[3]], [other[1], other[3]], where)


def _differing_numbers(one: list, other: list, where: str) -> str:
    if one == other:
        return ""
    if one[:2] != other[:2]:
        return f"{where}: {one[:2]} and {other[:2]}"
    code = {"d": "d", "<f8": "d", "<f4": "f"}.get(one[0])
    if code is not None:
        pair = [array.array(code, base64.b64decode(numbers[2])) for numbers in (one, other)]
        if all(map(_close, *pair)):
            return ""
    return f"{where}: numbers differ"
