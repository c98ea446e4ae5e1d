"""What a process says of its setups and calls, and what it used beside them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SetupInfo(BaseModel):
    """What a setup built."""

    model_config = ConfigDict(frozen=True)

    digest: str | None
    """Hash of the (first) state; None where it has no safe encoding, in the gso dialect, or if not asked for."""
    wall_ns: int
    """Time that setup took, by the probe's clock, for all states."""


class Timed(BaseModel):
    """One timed batch of calls, by several clocks."""

    model_config = ConfigDict(frozen=True)

    wall_ns: int
    """The probe's clock."""
    cpu_ns: int
    """CPU time of the process, its threads and its children: by the kernel, read from outside where that can be."""
    cpu_bound: bool = False
    """Whether one thread did it all and never slept, by the kernel, read from outside: CPU time is then all that the
    call needs, and the rest of `wall_ns` is other programs' and other machines'."""
    wait_ns: int = 0
    """Time in which the call was ready to run while its core ran something else, by the kernel; 0 where it is unknown.
    Waiting for threads and children of its own is not counted."""
    outside_ns: int
    """The driver's clock, from sending the request to reading the answer, less what the driver itself, and the probe
    before and after the call, waited for a core; the pipe costs it what `ping` costs."""
    gpu_ns: int | None = None
    flags: list[str] = []
    """`threads_left`, `processes_left`: more of them after the call than before it. `no_gpu_clock`: torch is not
    loaded."""


class Spent(BaseModel):
    """What a process used beside its timed calls, read from outside: CPU time by the kernel, which neighbours do not
    change; where that cannot be seen, and for a GPU, the driver's clock."""

    model_config = ConfigDict(frozen=True)

    load_ns: int
    """Of loading the perf test."""
    setup_ns: int
    """Of all setups."""
    digest_ns: int
    """Of all hashes of results; those of inputs come after them and are left out."""
    result_ns: int
    """Of all results that travelled."""
    idle_ns: int
    """While nothing was asked; 0 where it cannot be seen."""
    ping_ns: int
    """Of all empty requests: what any request costs by itself."""
    release_ns: int
    """Of letting go of results."""
