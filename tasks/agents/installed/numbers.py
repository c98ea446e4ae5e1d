"""Numbers that strangers wrote: taken where they are numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

LARGEST = 10**15


def whole(value: Any) -> int | None:
    """A count, or None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else None


def amount(value: Any) -> float | None:
    """A sum of money, or None."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if good else None


def total(values: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def at(value: Any, *names: str) -> Any:
    """What stands under these names of nested objects; None where there is no such thing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def items(value: Any, *names: str) -> list[Any]:
    """The same for a list; empty where there is none."""
    found = at(value, *names)
    return found if isinstance(found, list) else []


def text(value: Any, *names: str) -> str:
    """The same for a text; empty where there is none."""
    found = at(value, *names)
    return found if isinstance(found, str) else ""
