"""Whether a result is built like base's: families of types, lengths, keys, and where numbers are none. The probe
executes this file inside sandboxes: standard library only, syntax of Python 3.8.

A script's check may be fooled: NaN is in no distance of anything, an empty list differs from nothing in a loop over
`zip`. So beside it, what it accepts must have the structure of the reference. Families are wide, so that the script
decides what else matters: `docs/how-to/write-a-perf-test.md` has the table.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import collections
import math
import sys
from typing import Any, Dict, List

_FAMILIES: Dict[type, str] = {
    type(None): "None",
    bool: "truth value",
    int: "number",
    float: "number",
    complex: "complex number",
    str: "text",
    bytes: "bytes",
    bytearray: "bytes",
    list: "list",
    tuple: "list",
    set: "set",
    frozenset: "set",
    dict: "dict",
    collections.OrderedDict: "dict",
    collections.Counter: "dict",
    collections.defaultdict: "dict",
}
_DTYPES = {
    "b": "truth value",
    "i": "number",
    "u": "number",
    "f": "number",
    "c": "complex number",
    "S": "bytes",
    "U": "text",
}
_TIMES = {"m": "timedelta64", "M": "datetime64"}
_SIMPLE = frozenset({int, float})


def difference(reference: Any, candidate: Any, where: str = "the result", ordered: bool = True) -> str:  # noqa: PLR0911
    """How the candidate is built otherwise than the reference, in words; "" if it is not.

    Not `ordered`: items of lists and arrays may stand in any order.
    """
    one, other = family(reference), family(candidate)
    if one != other:
        return f"{where} is {_said(candidate, other)} where base has {_said(reference, one)}"
    if one == "array":
        return _arrays(reference, candidate, where, ordered)
    if one == "list":
        return _lists(list(reference), list(candidate), where, ordered)
    if one == "dict":
        return _dicts(reference, candidate, where, ordered)
    if one == "record":
        fields = [[name for name in value.__dict__ if name != "_record_type"] for value in (reference, candidate)]
        if fields[0] != fields[1]:
            return f"{where} has the fields {', '.join(fields[1])} where base has {', '.join(fields[0])}"
        pairs = ((name, reference.__dict__[name], candidate.__dict__[name]) for name in fields[0])
        return next(filter(None, (difference(a, b, f"{where}.{name}", ordered) for name, a, b in pairs)), "")
    if hasattr(type(reference), "__len__") and one not in ("text", "bytes"):
        if len(reference) != len(candidate):
            return _lengths(len(reference), len(candidate), where)
    elif one in ("text", "bytes") and bool(len(reference)) != bool(len(candidate)):
        return f"{where} is {'not ' if len(candidate) else ''}empty, base's is {'' if len(candidate) else 'not '}"
    if one == "set":
        ours, theirs = (collections.Counter(map(special, value)) for value in (candidate, reference))
        return "" if ours == theirs else f"{where} has {max(ours - theirs or theirs - ours)} otherwise than base"
    if special(reference) != special(candidate):
        return f"{where} is {special(candidate) or 'a value'} where base has {special(reference) or 'a value'}"
    arrays = [found for found in map(_as_array, (reference, candidate)) if found is not None]
    return _arrays(arrays[0], arrays[1], where, ordered) if len(arrays) == 2 else ""


def family(value: Any) -> str:
    """Types that a script may take for each other have one family."""
    kind = type(value)
    if kind in _FAMILIES:
        return _FAMILIES[kind]
    if kind.__module__.split(".")[0] == "numpy" and hasattr(value, "dtype"):
        if getattr(value, "ndim", 0):
            return "array"
        return {**_DTYPES, **_TIMES}.get(value.dtype.kind, str(value.dtype))
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return "list"
    return (
        "record"
        if kind.__name__ == "Record" and "_record_type" in getattr(value, "__dict__", ())
        else kind.__qualname__
    )


def special(value: Any) -> str:
    """`NaN`, `NaT`, `infinity`, `-infinity`, or "" for what equals itself and has an end."""
    try:
        if bool(value != value):  # noqa: PLR0124 -- so says NaN of itself
            return "NaT" if getattr(getattr(value, "dtype", None), "kind", "") in _TIMES else "NaN"
        if isinstance(value, complex):
            return special(value.real) + special(value.imag)
        if hasattr(value, "__float__") and math.isinf(value):
            return "infinity" if value > 0 else "-infinity"
    except (TypeError, ValueError, ArithmeticError):
        pass  # it compares in ways of its own
    return ""


def reordered(value: Any, deep: bool) -> Any:
    """The value with its items from last to first; `deep`: also those below.

    NaN and the like, and what holds them, stay where they are: many a check lets them pass anywhere.
    """
    if type(value) in (list, tuple):
        kept = [_holds_special(item) for item in value]
        turned = iter([item for item, stays in zip(reversed(value), reversed(kept)) if not stays])  # noqa: B905
        items = [item if stays else next(turned) for item, stays in zip(value, kept)]  # noqa: B905 -- Python 3.8
        return type(value)(reordered(item, deep) if deep else item for item in items)
    if type(value) in (dict, collections.OrderedDict) and deep:
        return {key: reordered(item, deep) for key, item in value.items()}
    return value[::-1] if family(value) == "array" and not _holds_special(value) else value


def _holds_special(value: Any) -> bool:
    kind = family(value)
    if kind == "list":
        return any(map(_holds_special, value))
    if kind == "dict":
        return any(map(_holds_special, value.values()))
    if kind == "array":
        return any(map(special, value.ravel().tolist() if value.dtype.kind == "O" else value.ravel()))
    if kind == "record":
        return any(_holds_special(item) for name, item in value.__dict__.items() if name != "_record_type")
    return bool(special(value))


def _lists(reference: List[Any], candidate: List[Any], where: str, ordered: bool) -> str:
    if len(reference) != len(candidate):
        return _lengths(len(reference), len(candidate), where)
    kinds = set(map(type, reference)) | set(map(type, candidate))
    if kinds <= _SIMPLE and all(map(math.isfinite, reference)) and all(map(math.isfinite, candidate)):
        return ""
    if kinds == {str} and list(map(bool, reference)) == list(map(bool, candidate)):
        return ""
    if not ordered and _shapes(reference) == _shapes(candidate):
        return ""
    for index, (one, other) in enumerate(zip(reference, candidate)):  # noqa: B905 -- Python 3.8; they are of one length
        found = "" if _plainly_alike(one, other) else difference(one, other, f"{where}[{index}]", ordered)
        if found:
            return found
    return ""


def _plainly_alike(one: Any, other: Any) -> bool:
    """Whether two values of one plain type have the same structure, as most have."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is float:
        return math.isfinite(one) and math.isfinite(other)
    return kind is int or kind is bool or one is None or (kind is str and bool(one) == bool(other))


def _dicts(reference: Any, candidate: Any, where: str, ordered: bool) -> str:
    if len(reference) != len(candidate):
        return _lengths(len(reference), len(candidate), where)
    lost = [key for key in reference if key not in candidate]
    if lost and not all(family(key) == "number" for key in lost):  # a script may compare numbers roughly
        return f"{where} has no {repr(lost[0])[:80]}"
    for key, one in reference.items():
        if key in candidate and not _plainly_alike(one, candidate[key]):
            found = difference(one, candidate[key], f"{where}[{repr(key)[:80]}]", ordered)
            if found:
                return found
    return ""


def _arrays(reference: Any, candidate: Any, where: str, ordered: bool) -> str:  # noqa: PLR0911
    numpy: Any = sys.modules["numpy"]
    if reference.shape != candidate.shape:
        return f"{where} has the shape {candidate.shape} where base has {reference.shape}"
    if reference.dtype.names or candidate.dtype.names:
        if reference.dtype.names != candidate.dtype.names:
            return f"{where} has the fields {candidate.dtype.names} where base has {reference.dtype.names}"
        pairs = ((name, reference[name], candidate[name]) for name in reference.dtype.names)
        return next(filter(None, (_arrays(a, b, f"{where}[{name!r}]", ordered) for name, a, b in pairs)), "")
    if "O" in (reference.dtype.kind, candidate.dtype.kind):
        return _lists(reference.ravel().tolist(), candidate.ravel().tolist(), where, ordered)
    kinds = [{**_DTYPES, **_TIMES}.get(array.dtype.kind, str(array.dtype)) for array in (reference, candidate)]
    if kinds[0] != kinds[1]:
        return f"{where} is an array of {candidate.dtype} where base has one of {reference.dtype}"
    for name, marked in _marks(numpy, reference.dtype.kind, candidate.dtype.kind):
        one, other = marked(reference), marked(candidate)
        if (one.sum() != other.sum()) if not ordered else bool((one != other).any()):
            return f"{where} has {int(other.sum())} {name} where base has {int(one.sum())}, or has them elsewhere"
    return ""


def _marks(numpy: Any, *kinds: str) -> Any:
    """(name, where an array has it) of what is no ordinary value."""
    if set(kinds) & set("fc"):
        yield "NaN", numpy.isnan
        yield "infinities", lambda array: numpy.isinf(array.real) & (array.real > 0)
        yield "negative infinities", lambda array: numpy.isinf(array.real) & (array.real < 0)
        yield "imaginary infinities", lambda array: numpy.isinf(array.imag)
    elif set(kinds) & set(_TIMES):
        yield "NaT", numpy.isnat


def _shapes(items: Any) -> Any:
    return collections.Counter(map(_shape, items))


def _shape(value: Any) -> Any:
    """What `difference` looks at, as something that can be counted."""
    kind = family(value)
    if kind == "list":
        return (kind, frozenset(_shapes(value).items()))
    if kind == "dict":
        pairs = {key if family(key) != "number" else "": _shape(item) for key, item in value.items()}
        return (kind, len(value), frozenset(pairs.items()))
    if kind == "array":
        return (kind, value.shape, _shape(value.ravel().tolist()))
    if kind == "record":
        return (kind, tuple((name, _shape(item)) for name, item in value.__dict__.items() if name != "_record_type"))
    return (kind, special(value), bool(value) if kind in ("text", "bytes") else len(value) if kind == "set" else 0)


def _lengths(reference: int, candidate: int, where: str) -> str:
    return f"{where} has {candidate} items where base has {reference}"


def _said(value: Any, kind: str) -> str:
    name = type(value).__name__
    return {"None": "None", "list": f"a {name}", "array": f"an array of {getattr(value, 'dtype', '')}"}.get(
        kind, f"a {kind}" if kind.rsplit(maxsplit=1)[-1] in ("value", "number") else f"a {name}"
    )


def _as_array(value: Any) -> Any:
    """What a table, series or tensor holds, where numpy can tell."""
    if not hasattr(type(value), "__array__") or "numpy" not in sys.modules:
        return None
    try:
        found = sys.modules["numpy"].asarray(value)
    except Exception:  # whatever a library raises
        return None
    return found if found.ndim else None
