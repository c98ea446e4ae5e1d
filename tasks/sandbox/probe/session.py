"""The driver's side of a probe: starts it in a sandbox, asks it, and believes only well-formed answers in time."""

from __future__ import annotations

import base64
import json
import queue
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

from tasks.sandbox.joined import joined
from tasks.sandbox.metering.models import IN_TURN, WHOLE
from tasks.sandbox.models import ARM_DIR, Arm, Limits, Process, Sandbox
from tasks.sandbox.probe.accounting import Watch
from tasks.sandbox.probe.protocol import (
    END,
    MAX_RESULT,
    MAX_UNASKED,
    OVERLONG,
    SMALL,
    Bound,
    CheckFailed,
    ErrorKind,
    Line,
    ProbeError,
    duration,
    field,
    line_of,
    maybe,
    parsed,
    read_lines,
    text_of,
    write_all,
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
    "probe_text",
]

Dialect = Literal["isobench", "gso", "command"]
"""Forms of perf tests. `command` is no script: `tasks.sandbox.commands` runs those."""
FLAGS = frozenset({"threads_left", "no_gpu_clock"})
"""Flags that a probe may raise; others are dropped, because some flags speak of base and not of the arm."""
UNMETERED = "unmetered"
"""Flag of a call while the CPU time of its sandbox may hold less than was used: no success rests on it."""
START_TIMEOUT_S = 60.0
MAX_TRACE = 16 * SMALL
"""Bytes of an answer that lists executed lines."""
PIPE_BYTES = 60_000
"""A request of this size fits a pipe that nobody reads."""
HELPERS_SHARE = 0.02
HELPERS_SLACK_NS = 500_000
"""CPU time of further threads and processes, of all of a call's and in any case, that still counts as one thread."""

_FILES = (
    "records",
    "encoding",
    "fingerprint",
    "dialects",
    "own",
    "pickles",
    "storing",
    "structure",
    "comparing",
    "tracing",
    "probe",
)


class ProbeSession:
    """One perf test in one process of one arm. A context manager: the process ends with it, whatever happens.

    Every method raises ProbeError. After `timeout`, `died` and `protocol` the process is gone and further calls raise
    `died`. Entering starts the process and does not wait for it, so several can start at once.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        arm: Arm,
        work: Path,
        *,
        cpus: tuple[int, ...] | None = None,
        starts_on: tuple[int, ...] | None = None,
        limits: Limits | None = None,
        hash_seed: int = 0,
        timeout_s: float = 120.0,
        checker: bool = False,
    ) -> None:
        """`work` is `Store.work`; `timeout_s` bounds every call; `checker` makes it a process that compares results.

        `cpus`: cores that it is pinned to before anything of the arm runs; `starts_on`: where it may start meanwhile.

        The sandbox's own time limit covers the whole session and is lifted: calls are bounded one by one.
        """
        self.arm = arm
        self._timeout_s = timeout_s
        self._sandbox = sandbox
        limits = (limits or Limits()).model_copy(update={"timeout_s": None})
        self._pins_to = cpus if starts_on is not None and sandbox.pins_late else None
        first = cpus if self._pins_to is None else starts_on
        command = arm.command(work, ("-c", probe_text()), cpus=first, limits=limits)
        paths = command.variables.get("PYTHONPATH", "")
        variables = {
            **command.variables,
            "PYTHONPATH": "",  # the arm's sitecustomize must not run before the probe
            "PROBE_PATH": paths,
            "PROBE_ROOT": ARM_DIR,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONNOUSERSITE": "1",
        }
        self._command = command.model_copy(update={"variables": variables})
        self._checker = checker
        self._process: Process | None = None
        self._greeted = False
        self._answers: queue.Queue[Line] = queue.Queue(MAX_UNASKED)
        self._bound = Bound()
        self._watch = Watch()
        self._spent: dict[str, int] = defaultdict(int)
        self._device = "cpu"

    def __enter__(self) -> ProbeSession:
        self._process = self._sandbox.start(self._command)
        reading = (self._process.stdout, self._answers, self._bound)
        threading.Thread(target=read_lines, args=reading, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process(self) -> Process | None:
        """The running process; None before its start and after its end."""
        return self._process

    def close(self) -> None:
        """End the process. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.close(timeout_s=0.2)

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

    def greet(self) -> None:
        """Wait until the process stands ready: nothing of the arm has run yet."""
        if self._greeted:
            return
        self._greeted = True
        hello = self._exchange("hello", START_TIMEOUT_S, checker=self._checker)
        assert self._process is not None
        # Nothing of the arm has run yet: this process id is the probe's own.
        self._watch.start(self._process, field(hello, "pid", int))
        if self._pins_to is not None:
            self._process.pin(self._pins_to)

    def _ask(self, op: str, timeout_s: float | None = None, book: str = "", **args: Any) -> dict[str, Any]:
        self.greet()
        return self._exchange(op, min(timeout_s or self._timeout_s, self._timeout_s), book, **args)

    def _exchange(self, op: str, timeout_s: float, book: str = "", **args: Any) -> dict[str, Any]:
        """Ask and wait; what it uses is booked under the name of the request, unless another is given."""
        if self._process is None:
            raise ProbeError("died", "the process has ended")
        self._refuse_unasked(op)
        nonce = secrets.token_hex(16)
        data = json.dumps({"id": nonce, "op": op, "args": args}).encode() + b"\n"
        self._watch.begin()
        start = time.perf_counter_ns()
        try:
            self._send(data, timeout_s)
            arrived, waited, line = self._await(start, timeout_s)
        except queue.Empty:
            self.close()
            raise ProbeError("timeout", f"{op} took longer than {timeout_s:.3g} s") from None
        except OSError:
            line = END
        if line == END:
            raise self._died(op)
        if line == OVERLONG:
            raise self._broken(f"an answer to {op} of more than {self._bound.most >> 20} MiB")
        self._watch.end()
        # An answer may lie there while the machine is busy and the thread that reads it has to wait for a core.
        elapsed_ns = arrived - start
        outside_ns = max(1, elapsed_ns - max(0, waited))
        used = self._watch.cpu_ns()
        self._spent[book or op] += outside_ns if used is None or self._device != "cpu" else used
        answer = parsed(line)
        if not isinstance(answer, dict) or answer.get("id") != nonce:
            raise self._broken(f"an answer to {op} that is not the probe's")
        if answer.get("ok") is not True:
            raise self._failure(op, answer)
        return {**answer, "elapsed_ns": elapsed_ns, "outside_ns": outside_ns}

    def _await(self, start_ns: int, timeout_s: float) -> Line:
        """The next line. Raises queue.Empty after `timeout_s`.

        Time in which the process was kept from running by others is not its own, and is added: up to the time that any
        call may take, or as much again.
        """
        own_s = timeout_s
        while True:
            passed_s = (time.perf_counter_ns() - start_ns) / 1e9
            try:
                return self._answers.get(timeout=max(0.0, own_s - passed_s))
            except queue.Empty:
                longer_s = min(timeout_s + self._watch.waited_s(), max(2 * timeout_s, self._timeout_s))
                if longer_s <= max(own_s + 0.01, passed_s):
                    raise
                own_s = longer_s

    def _refuse_unasked(self, op: str) -> None:
        """Whoever speaks without being asked prepares an answer, or wants to fill the driver's memory."""
        if self._answers.empty():
            return
        _, _, line = self._answers.get()
        raise self._died(op) if line == END else self._broken(f"output before {op} that nobody asked for")

    def _failure(self, op: str, answer: dict[str, Any]) -> Exception:
        """The exception for an answer that says no; only a check may find a mismatch."""
        kind = answer.get("kind")
        message, trace = (text_of(answer.get(name, "")) for name in ("message", "trace"))
        if kind == "mismatch" and op == "check":
            return CheckFailed(message)
        if kind not in get_args(ErrorKind):
            return self._broken(f"a failure of {op} that is not the probe's")
        return ProbeError(cast(ErrorKind, kind), message, trace)

    def _send(self, data: bytes, timeout_s: float) -> None:
        """Write a request. What does not fit the pipe may meet a process that does not read: queue.Empty, then."""
        assert self._process is not None
        stdin = self._process.stdin
        if len(data) <= PIPE_BYTES:
            write_all(stdin, data)
            return
        writing = threading.Thread(target=write_all, args=(stdin, data, True), daemon=True)
        writing.start()
        writing.join(timeout_s)
        if writing.is_alive():
            raise queue.Empty

    def _died(self, op: str) -> ProbeError:
        process, self._process = self._process, None
        assert process is not None
        ended = process.close(timeout_s=1.0)
        why = "out of memory" if ended.out_of_memory else f"exit code {ended.returncode}"
        tail = ended.stderr[-2000:].decode(errors="replace").strip()
        return ProbeError("died", f"the process ended during {op} ({why})", tail)

    def _broken(self, message: str) -> ProbeError:
        self.close()
        return ProbeError("protocol", message)


def probe_text() -> str:
    """Python source of the probe: its files, and their start."""
    return joined("tasks.sandbox.probe.inside", Path(__file__).parent / "inside", _FILES, "<probe>")
