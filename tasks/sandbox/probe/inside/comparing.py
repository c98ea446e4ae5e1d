"""The side that compares: results of arms as bytes, in a process of base's code that ran nothing. The probe executes
this file inside sandboxes: standard library only, syntax of Python 3.8.
"""

import json
from typing import Any

from tasks.sandbox.probe.inside.dialects import Failure, describe, trace_of
from tasks.sandbox.probe.inside.encoding import decode, encode
from tasks.sandbox.probe.inside.pickles import DataOnly
from tasks.sandbox.probe.inside.storing import restored, round_trip
from tasks.sandbox.probe.inside.structure import difference, reordered


def compare(script: Any, reference: bytes, candidate: bytes) -> None:
    """Raise Failure("mismatch") unless the script accepts the candidate, and it is built as the reference is."""
    DataOnly.armed = True
    one, other = (read(script, name, blob) for name, blob in (("reference", reference), ("candidate", candidate)))
    differ = kinds_differ(reference, candidate)
    if differ:
        raise Failure("mismatch", differ)
    differ, loose = difference(one, other), ""
    if differ:
        loose = difference(one, other, ordered=False)
    accept(script, stored_form(script, reference, one), other)
    # Only now: what the script itself says is told first.
    if differ and (loose or not takes_any_order(script, reference)):
        raise Failure("mismatch", f"{differ} (check_equivalence accepts it)")


def read(script: Any, name: str, blob: bytes) -> Any:
    """A result from its bytes."""
    try:
        if blob[:1] == b"v":
            return decode(blob[1:])
        return restored(script.space, blob[1:].partition(b"\0")[2])
    except Failure:
        raise
    except BaseException as error:
        raise Failure("mismatch", f"the {name} cannot be read: {describe(error)}") from None


def stored_form(script: Any, blob: bytes, value: Any) -> Any:
    """The reference as the script's check expects it."""
    if blob[:1] != b"v" or not script.stores_reference:
        return value
    try:
        return round_trip(script.space, value)
    except Failure:
        raise
    except BaseException as error:
        raise Failure("mismatch", f"the reference cannot be read: {describe(error)}") from None


def accept(script: Any, reference: Any, candidate: Any) -> None:
    """Raise Failure("mismatch") unless the script's check_equivalence accepts the candidate."""
    try:
        verdict = script.check(reference, candidate)
    except Failure:
        raise
    except BaseException as error:
        raise Failure("mismatch", describe(error), trace_of(error)) from None
    if verdict is False:
        raise Failure("mismatch", "check_equivalence returned False")


def takes_any_order(script: Any, blob: bytes) -> bool:
    """Whether the script accepts the reference with its items in another order, so that places mean nothing."""
    for deep in (False, True):
        value = read(script, "reference", blob)
        turned = reordered(value, deep)
        if blob[:1] == b"v" and encode(turned) == blob[1:]:
            continue  # the same from both ends
        try:
            accept(script, stored_form(script, blob, value), turned)
        except Failure:
            continue
        return True
    return False


def kinds_differ(reference: bytes, candidate: bytes) -> str:
    """How types differ that only the script can store, in words; "" where they do not."""
    base, ours = kinds_of(reference), kinds_of(candidate)
    if base is None and ours is None:
        return ""
    if base is not None and ours is not None and fits(base, ours):
        return ""
    return f"the result is {said(ours)} where base has {said(base)}"


def kinds_of(blob: bytes) -> Any:
    """The outline of what only the script can store; None for plain data."""
    if blob[:1] == b"v":
        return None
    try:
        return json.loads(blob[1:].partition(b"\0")[0])
    except (ValueError, RecursionError):
        raise Failure("mismatch", "the candidate cannot be read: it has no outline") from None


def fits(base: Any, ours: Any) -> bool:
    """Whether an outline is that of base, or of classes that derive from base's."""
    if not isinstance(base, list) or not isinstance(ours, list) or not base or not ours:
        return base == ours
    if base[0] in ("list", "dict", "set") or ours[0] in ("list", "dict", "set"):
        if base[0] != ours[0] or len(base) != 2 or len(ours) != 2:
            return base == ours
        return all(any(fits(one, other) for one in base[1]) for other in ours[1])
    return base[0] in ours


def said(outline: Any) -> str:
    """An outline in a few words."""
    if outline is None:
        return "plain data"
    if not isinstance(outline, list) or not outline:
        return "something else"
    inner = outline[1] if len(outline) == 2 and isinstance(outline[1], list) else []
    return f"{outline[0]}" + (f" of {said(inner[0])}" if inner else "")


def told(reference: bytes, candidate: bytes) -> str:
    """What is different in two inputs, in words; "" where that cannot be said."""
    if reference[:1] != b"v" or candidate[:1] != b"v":
        return ""
    try:
        return difference(decode(reference[1:]), decode(candidate[1:]), "the input")
    except (ValueError, ImportError):
        return ""
