"""What a meter is, and the kinds there are."""

from __future__ import annotations

from typing import Literal, Protocol

MeterName = Literal["cpuacct", "cpu.stat", "engine", "worker", "machine", "processes", "none"]
"""`cpuacct`, `cpu.stat`: the command's own control group, of version 1 or 2. `engine`: a container's, as its engine
tells it. `worker`, `machine`: processes as below, and beside them the group of the worker itself, or the whole machine,
which tell what they do not (`worker.WorkerGroup`). `processes`: what /proc says of the processes that can be seen,
alone. `none`: nothing can be known."""

WHOLE: frozenset[MeterName] = frozenset({"cpuacct", "cpu.stat", "engine"})
"""See all that a command started, at every reading."""
IN_TURN: frozenset[MeterName] = frozenset({"worker", "machine"})
"""See it where one command alone is at work."""
ENOUGH = WHOLE | IN_TURN
"""Without one of these nobody knows what an arm's children did, and none can be found faster."""

TICK_NS = 10_000_000
"""Unit in which /proc tells the CPU time of ended children (USER_HZ, 100 on every architecture that matters)."""


class Meter(Protocol):
    """CPU time of one command and of everything that it started."""

    name: MeterName
    resolution_ns: int
    """The smallest difference that it can tell."""
    complete: bool
    """Whether its readings so far hold everything; False for good once children may have gone uncounted."""

    def read_ns(self) -> int | None:
        """CPU time so far; None if it cannot be read, for example because the command has ended."""

    def processes(self) -> int:
        """How many processes there are now; 0 if that cannot be known."""


class NoMeter:
    """Knows nothing: of a command that runs where nobody can look."""

    name: MeterName = "none"
    resolution_ns = 0
    complete = False

    def read_ns(self) -> int | None:
        """None."""
        return None

    def processes(self) -> int:
        """0."""
        return 0
