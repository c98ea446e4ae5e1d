"""The driver's side of a probe: what a perf test can be asked, and what its answers become."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Literal

from tasks.sandbox.metering.models import IN_TURN, WHOLE
from tasks.sandbox.probe.asking import ProbeProcess
from tasks.sandbox.probe.protocol import (
    MAX_RESULT,
    SMALL,
    CheckFailed,
    ProbeError,
    duration,
    field,
    line_of,
    maybe,
    text_of,
)
from tasks.sandbox.probe.readings import SetupInfo, Spent, Timed
from tasks.sandbox.probe.results import Digests

__all__ = [
    "CheckFailed",
    "Dialect",
    "Digests",
    "ProbeError",
    "ProbeSession",
    "SetupInfo",
    "Spent",
    "Timed",
]

Dialect = Literal["isobench", "gso", "command"]
"""Forms of perf tests. `command` is no script: `tasks.sandbox.commands` runs those."""
FLAGS = frozenset({"threads_left", "no_gpu_clock"})
"""Flags that a probe may raise; others are dropped, because some flags speak of base and not of the arm."""
UNMETERED = "unmetered"
"""Flag of a call while the CPU time of its sandbox may hold less than was used: no success rests on it."""
MAX_TRACE = 16 * SMALL
"""Bytes of an answer that lists executed lines."""
HELPERS_SHARE = 0.02
HELPERS_SLACK_NS = 500_000
"""CPU time of further threads and processes, of all of a call's and in any case, that still counts as one thread."""


class ProbeSession(ProbeProcess):
    """One perf test in one process of one arm. A context manager: the process ends with it, whatever happens.

    Every method raises ProbeError. After `timeout`, `died` and `protocol` the process is gone and further calls raise
    `died`. Entering starts the process and does not wait for it, so several can start at once.
    """

    def load(self, script: str, dialect: Dialect = "isobench", timeout_s: float | None = None) -> None:
        """Execute the script's top level, imports included."""
        if dialect == "command":
            raise ProbeError("syntax", "a command is no script")
        self._ask("load", timeout_s, script=script.removeprefix("\ufeff"), dialect=dialect)

    def setup(self, seed: int, count: int = 1, digest: bool = True) -> SetupInfo:
        """Build the workloads of `seed`, `seed + 1`, ... (`count` of them); untimed.

        `digest`: hash them, for the answer and for `Digests.before`.
        """
        answer = self._ask("setup", seed=seed, count=count, digest=digest)
        return SetupInfo(digest=maybe(answer, "digest", str), wall_ns=duration(answer, "wall_ns"))

    def run(self, number: int = 1, device: str = "cpu", start: int = 0) -> Timed:
        """Call the experiment `number` times, on the workloads in turn from `start` on.

        `cuda` adds device events where torch is.
        """
        self._device = device
        answer = self._ask("run", number=number, device=device, start=start)
        flags = [flag for flag in field(answer, "flags", list)[:20] if isinstance(flag, str) and flag in FLAGS]
        if self._watch.left_processes():
            flags.append("processes_left")
        if not self._metered():
            flags.append(UNMETERED)
        wall_ns, outside_ns = duration(answer, "wall_ns"), answer["outside_ns"]
        waited, seen, used = duration(answer, "wait_ns"), self._watch.wait_ns(), self._watch.cpu_ns()
        return Timed(
            wall_ns=wall_ns,
            cpu_ns=duration(answer, "cpu_ns") if used is None else used,
            cpu_bound=device == "cpu" and self._is_cpu_bound(duration(answer, "sleeps")),
            wait_ns=waited if seen is None else min(waited, seen),
            # The kernel counts a wait when it ends, also one that began before the request: what is taken off for waits
            # never leaves less than the call itself says it took.
            outside_ns=max(1, min(wall_ns, answer["elapsed_ns"]), outside_ns - max(0, (seen or 0) - waited)),
            gpu_ns=None if answer.get("gpu_ns") is None else duration(answer, "gpu_ns"),
            flags=flags,
        )

    def _metered(self) -> bool:
        """Whether CPU time of this process is counted well enough for a success."""
        if self._process is None or not self._process.meter.complete:
            return False
        # With a meter that needs its turn, successes are confirmed in rounds that have one arm at a time.
        return self._process.meter.name in WHOLE or self._sandbox.meter in IN_TURN

    def _is_cpu_bound(self, sleeps: int) -> bool:
        """By the last request; `sleeps` of its call, as the probe says: requests begin and end with one each."""
        seen, cpu_ns, helpers_ns = self._watch.sleeps(), self._watch.cpu_ns(), self._watch.helpers_ns()
        if seen is None or cpu_ns is None or helpers_ns is None:
            return False
        return sleeps == 0 and seen <= 2 and helpers_ns <= HELPERS_SLACK_NS + HELPERS_SHARE * cpu_ns

    def spent(self, since: Spent | None = None) -> Spent:
        """What was used beside timed calls since this was last asked; `since` adds that call's idle time to it."""
        self._watch.begin()
        self._watch.end()
        found = Spent(
            load_ns=self._spent["load"],
            setup_ns=self._spent["setup"],
            digest_ns=self._spent["digests"],
            result_ns=self._spent["result"],
            ping_ns=self._spent["ping"],
            release_ns=self._spent["release"],
            idle_ns=self._watch.idle_ns + (since.idle_ns if since else 0),
        )
        self._spent.clear()
        self._watch.idle_ns = 0
        return found

    def result(self, index: int = 0, most: int = MAX_RESULT) -> bytes:
        """Result of call `index` of the last run, for `check` of another session. Never read by the driver.

        `most`: bytes; a larger one is `protocol`, and is not read to its end.
        """
        return self._blob("result", index, most)

    def input(self, index: int = 0, most: int = MAX_RESULT) -> bytes:
        """The workload of call `index` as it is now, for `difference` of another session. Never read by the driver.

        Objects of unknown classes are left out of it; empty where it cannot be read.
        """
        return self._blob("input", index, most)

    def _blob(self, op: str, index: int, most: int) -> bytes:
        self._bound.most = line_of(most)
        try:
            return base64.b64decode(field(self._ask(op, index=index), "blob", str), validate=True)
        except ValueError as error:
            raise self._broken(f"the {op} is not base64: {error}") from error
        finally:
            self._bound.most = SMALL

    def digests(self, indexes: Sequence[int] = (0,), inputs: int | None = None) -> Digests:
        """Hashes of what these calls of the last run returned, and of what the first `inputs` of them (None: all) were
        given.

        At most some thousand calls: the answer is bounded. Raises ProbeError if a result has no safe encoding.
        """
        answer = self._ask("digests", indexes=list(indexes), inputs=0)
        try:
            found = Digests.of(answer, len(indexes))
            if inputs == 0:
                return found
            # What was asked for is computed by now. Hashing inputs may take many times as long as hashing results, and
            # its noise would hide what those cost: it is no part of `Spent`.
            answer = self._ask("digests", book="inputs", indexes=list(indexes), inputs=inputs)
            whole = Digests.of(answer, len(indexes))
        except ProbeError as error:
            if error.kind != "protocol":
                raise
            raise self._broken(error.message) from None
        if whole.results != found.results:
            raise self._broken("results whose hashes change")
        return whole

    def result_digest(self, index: int = 0) -> str:
        """Hash of what `result` would give: equal digests need no comparison."""
        return self.digests([index], inputs=0).results[0]

    def check(self, reference: bytes, candidate: bytes, timeout_s: float | None = None) -> None:
        """Compare two results with the script's check_equivalence. Raises CheckFailed if it rejects the candidate.

        Meant for a process of its own, with the base code, that never ran an experiment (`checker=True`).
        """
        blobs = {name: base64.b64encode(blob).decode() for name, blob in (("r", reference), ("c", candidate))}
        self._ask("check", timeout_s, reference=blobs["r"], candidate=blobs["c"])

    def difference(self, reference: bytes, candidate: bytes) -> str:
        """What two inputs differ in, in a few words; "" where that cannot be said. Asked of a process like `check`."""
        blobs = {name: base64.b64encode(blob).decode() for name, blob in (("r", reference), ("c", candidate))}
        answer = self._ask("difference", reference=blobs["r"], candidate=blobs["c"])
        return text_of(field(answer, "text", str))

    def trace(self, seed: int, with_setup: bool = True) -> dict[str, list[int]]:
        """Lines that one experiment (and its setup) executes, by path relative to the checkout."""
        self._bound.most = MAX_TRACE
        lines = field(self._ask("trace", seed=seed, with_setup=with_setup), "lines", dict)
        self._bound.most = SMALL
        return {str(path): [int(number) for number in numbers] for path, numbers in lines.items()}

    def release(self) -> None:
        """Let go of the last run's results."""
        self._ask("release")

    def ping(self) -> int:
        """Nanoseconds of an empty request, by the driver's clock: what `outside_ns` costs by itself."""
        return int(self._ask("ping")["outside_ns"])
