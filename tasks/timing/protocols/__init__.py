"""The protocols: in which processes, in what order and how often arms are timed.

- `interleaved` is the default: every round calls every arm once, in random order: at the same moment on one core
  where each can be charged for its own time (see `sharing`), else one after the other.
- `duet` calls two arms at the same moment on two cores, and swaps the cores every round.
- `sequential` is GSO's, for comparison: fresh processes of one arm, then of the next.
"""

from __future__ import annotations

from collections.abc import Callable

from tasks.timing.models import SessionState
from tasks.timing.processes import SessionContext
from tasks.timing.protocols.common import Needed
from tasks.timing.protocols.duet import duet
from tasks.timing.protocols.interleaved import interleaved
from tasks.timing.protocols.sequential import sequential

Protocol = Callable[[SessionContext, tuple[int, ...], Needed], SessionState]

PROTOCOLS: dict[str, Protocol] = {"interleaved": interleaved, "duet": duet, "sequential": sequential}
"""By the name that `timing.protocol` has."""
