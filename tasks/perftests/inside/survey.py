"""Which places of a test tell something about the changed functions, and the same each time. Runs inside sandboxes.

Standard library only, syntax of Python 3.8. Its text follows those of `values.py`, `observing.py` and `watch.py`.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

if "Keeper" not in globals():  # in a sandbox these texts are one module
    from tasks.perftests.inside.observing import AFTER, Keeper, told
    from tasks.perftests.inside.values import differs, says_something
    from tasks.perftests.inside.watch import Watch

LONGEST = 20_000  # characters of what one place came to; longer ones travel as their hash
SEEDS = (1, 2)


class Survey(Keeper):
    """Keeps values, and how often changed functions had been called by then."""

    def __init__(self) -> None:
        super().__init__()
        self.watch: Any = None
        self.calls: list[int] = []

    def keep(self, place: str, value: Any) -> Any:
        """Note a value, and give it back. The time that takes is no part of the test's."""
        watch = self.watch
        if watch is None:
            return value
        start = time.perf_counter()
        if self.room:
            self.room -= 1
            self.calls.append(watch.calls)
            self.seen.append((place, value))
        watch.aside += time.perf_counter() - start
        return value

    def look(self, body: Callable[[], Any], targets: dict, root: str) -> tuple[Any, dict[str, list[Any]], set[str]]:
        """What the body returned, place -> its values in order, and the places before which changed functions ran
        since the place before: of a call, its value and what it was given. Without targets all places are."""
        self.watch = Watch(targets, root)
        self.calls = []
        outcome = self.watch.run(lambda: self.run(body)) if targets else self.run(body)
        values: dict[str, list[Any]] = {}
        busy, before, ran = set(), 0, False
        for (place, value), calls in zip(told(self.take()), self.calls):  # noqa: B905
            values.setdefault(place, []).append(value)
            ran = calls > before or (ran and place.endswith(AFTER))
            if ran or not targets:
                busy.add(place)
            before = calls
        return outcome, values, busy


def surveyed(look: Callable[[], tuple[Any, dict[str, list[Any]], set[str]]]) -> dict[str, list[Any]]:
    """place -> [whether it says something, its values], of places about the changed functions that are the same in
    two looks, whatever chance says."""
    found: list[Any] = []
    for seed in SEEDS:
        random.seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(seed)
        found.append(look())
    (_, first, busy), (_, second, _) = found
    places = {}
    for place in sorted(busy):
        if place in second and not differs(first[place], second[place], place):
            text = json.dumps(first[place])
            values = first[place] if len(text) <= LONGEST else {"hash": hashlib.sha256(text.encode()).hexdigest()}
            places[place] = [any(map(says_something, first[place])), values]
    return places
