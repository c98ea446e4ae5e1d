"""Whether a check_equivalence is alive: it is shown results that are wrong. Its text follows a script's, in a sandbox.

It takes the place of the script's check_equivalence in a process that compares. Called with the same result twice, it
makes wrong ones of it, asks the script about each, and the check of structure that stands beside it when arms are
compared (`isobench_difference`), and raises an AssertionError with what they accepted, as JSON after the word MUTANTS.
Standard library only, syntax of Python 3.8.
"""

import contextlib
import copy
import functools
import inspect
import json
from typing import Any

MUTANTS_MAX_NODES = 20000
MUTANTS_LEAVES = 5


def mutants_of(value: Any) -> Any:
    """(kind, wrong value): every leaf changed, single leaves changed, items dropped, reversed, nothing at all.

    Kinds: `order`, `types` and `zeros` (the sign of zeros) may be accepted, all others are to be rejected.
    """
    yield from other_values(value, leaves(value))
    if sized(value) and len(value):
        yield from other_sizes(value)
    if isinstance(value, (list, tuple)) and len(value) > 1 and list(value) != list(value)[::-1]:
        yield "order", value[::-1]
    if isinstance(value, list):
        yield "types", tuple(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield "types", float(value)
    for twin in other_types(value):
        yield "other type", twin
    if value is not None:
        yield "nothing", None


def other_values(value: Any, count: Any) -> Any:
    """Mutants as large as the result, which has so many leaves."""
    if count:
        yield "values", changed(value, None)
        for kind, mark in (("nan", float("nan")), ("infinite", float("inf")), ("zeros", None)):
            for place in (None, count // 2):
                wrong = changed(value, place, marked(mark))
                if repr(wrong) != repr(value):
                    yield kind, wrong
    for place in sorted({index * max(count - 1, 0) // max(MUTANTS_LEAVES - 1, 1) for index in range(MUTANTS_LEAVES)}):
        if count > 1:
            yield "one value", changed(value, place)


def other_sizes(value: Any) -> Any:
    """Mutants that have fewer items than the result, or one more."""
    if isinstance(value, (dict, set, frozenset)):
        yield "items", dropped(value)
        yield "empty", type(value)()
        return
    yield "items", value[:-1]
    if len(value) > 3:
        yield "items", value[len(value) // 2 :]
    yield "empty", value[:0]
    if type(value) in (list, tuple):
        yield "longer", value + value[-1:]


def other_types(value: Any) -> Any:
    """The same contents as other types."""
    if isinstance(value, (list, tuple)):
        yield dict(enumerate(value))
        yield iter(value)
    elif isinstance(value, dict):
        yield list(value.items())
    elif isinstance(value, (str, int, float)):
        yield str(value).encode()
        yield [value]


def sized(value: Any) -> bool:
    """Whether items can be dropped from it."""
    if isinstance(value, (list, tuple, dict, set, frozenset, str, bytes)) and not hasattr(value, "_fields"):
        return True
    return type(value).__module__.split(".")[0] == "numpy" and bool(getattr(value, "ndim", 0))


def dropped(value: Any) -> Any:
    """A dict or set without one of its items."""
    items = sorted(value, key=repr)[:-1]
    return {key: value[key] for key in items} if isinstance(value, dict) else type(value)(items)


def leaves(value: Any) -> int:
    """How many values a result holds, up to MUTANTS_MAX_NODES."""
    counter = [0]
    walk(value, counter, lambda leaf: leaf)
    return counter[0]


def changed(value: Any, place: Any, other: Any = None) -> Any:
    """The result with leaf number `place` wrong, or all leaves if it is None."""
    counter = [0]
    other = other or other_leaf

    def wrong(leaf: Any) -> Any:
        return other(leaf) if place is None or counter[0] == place + 1 else leaf

    return walk(value, counter, wrong)


def walk(value: Any, counter: Any, touch: Any) -> Any:  # noqa: PLR0911
    """A copy with `touch` called on leaves: values of dicts, items of the rest; whole arrays item by item."""
    if counter[0] > MUTANTS_MAX_NODES:
        return value
    if isinstance(value, dict):
        return {key: walk(item, counter, touch) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[walk(item, counter, touch) for item in value])
    if isinstance(value, (list, tuple)):
        return type(value)([walk(item, counter, touch) for item in value])
    if isinstance(value, (set, frozenset)):
        return type(value)(walk(item, counter, touch) for item in sorted(value, key=repr))
    if type(value).__module__.split(".")[0] == "numpy" and hasattr(value, "ndim") and value.ndim:
        return walk_array(value, counter, touch)
    if type(value).__name__ == "Record" and hasattr(value, "_record_type"):
        twin = copy.copy(value)
        for name, item in vars(value).items():
            if name != "_record_type":
                twin.__dict__[name] = walk(item, counter, touch)
        return twin
    counter[0] += 1
    return touch(value)


def walk_array(value: Any, counter: Any, touch: Any) -> Any:
    """A copy of an array, some 100 of its items touched; first, middle and last are among them."""
    twin = value.copy()
    flat = twin.reshape(-1)
    step = max(1, flat.size // 100)
    for index in sorted({*range(0, flat.size, step), flat.size - 1} if flat.size else ()):
        counter[0] += 1
        old = flat[index].item() if hasattr(flat[index], "item") else flat[index]
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            flat[index] = touch(old)
    return twin


def marked(mark: Any) -> Any:
    """What puts this number in the place of floats; None: turns the sign of their zeros."""

    def touch(leaf: Any) -> Any:
        if not isinstance(leaf, float) or leaf - leaf != 0:
            return leaf
        return mark if mark is not None else -leaf if leaf == 0 else leaf

    return touch


def other_leaf(leaf: Any) -> Any:  # noqa: PLR0911
    """Another value of the same type, far from it."""
    if leaf is None:
        return 0
    if isinstance(leaf, bool):
        return not leaf
    if isinstance(leaf, int):
        return leaf + 1 + abs(leaf) // 2
    if isinstance(leaf, float):
        return leaf * 1.5 + 1.0 if leaf - leaf == 0 else 0.0
    if isinstance(leaf, complex):
        return leaf * 1.5 + 1.0
    if isinstance(leaf, str):
        return leaf[:-1] + ("x" if leaf[-1:] != "x" else "y")
    if isinstance(leaf, (bytes, bytearray)):
        return bytes(leaf[:-1]) + bytes([(leaf[-1] ^ 1) if leaf else 1])
    return None


def show_mutants(check: Any) -> Any:
    """check_equivalence that reports which wrong results the given one accepts."""

    @functools.wraps(check)
    def checked(one: Any, two: Any) -> None:
        names = [name.lower() for name in inspect.signature(check).parameters] or [""]
        swapped = names[0].startswith(("cur", "cand", "new", "act", "got", "res", "out"))
        found: dict = {}
        for kind, wrong in mutants_of(two):
            reference = copy.deepcopy(one)
            built = not isobench_difference(reference, wrong)
            try:
                verdict = check(wrong, reference) if swapped else check(reference, wrong)
            except Exception:
                verdict = False
            script, both, total = found.get(kind, (0, 0, 0))
            found[kind] = (script + (verdict is not False), both + (verdict is not False and built), total + 1)
        raise AssertionError("MUTANTS" + json.dumps(found))

    return checked


def isobench_difference(reference: Any, candidate: Any) -> str:
    """`difference` of the probe's `structure.py`, whose text this one is given; "" where it is not."""
    difference = STRUCTURE.get("difference")
    return difference(reference, candidate) if difference else ""


STRUCTURE: dict = {}
exec(globals().get("ISOBENCH_STRUCTURE", ""), STRUCTURE)

if "check_equivalence" in globals():  # the script's, whose text this one follows
    check_equivalence = show_mutants(globals()["check_equivalence"])
