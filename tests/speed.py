"""How fast this machine is, so that a workload of a test takes about as long on every machine.

What a test's outcome hangs on is often a duration: long enough to be measured, too long for a time limit. Sizes are
written for one machine and multiplied by `speed()`. They leave room: each such test passes with workloads three times
as large and a third as large (`ISOBENCH_TEST_SPEED=3` and `=0.33`), so the measure may be off by as much.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache

REFERENCE = 6500
"""Turns of `_turns` per millisecond where the sizes were chosen."""


@lru_cache
def speed() -> float:
    """How many times as fast as there Python runs here: the best of many short runs, by the CPU's time."""
    best = max(_turns() for _ in range(40))
    return best / REFERENCE * float(os.environ.get("ISOBENCH_TEST_SPEED", "1"))


def sized(number: int) -> int:
    """The size of a workload that takes as long here as one of `number` did there."""
    return max(1, round(number * speed()))


def _turns(number: int = 8_000) -> float:
    """Turns of a plain loop per millisecond."""
    start, value = time.thread_time_ns(), 0
    for turn in range(number):
        value = (value * 31 + turn) % 1_000_003
    return number / max(time.thread_time_ns() - start, 1) * 1e6
