"""The kernel's count of a tree of processes, against what the processes themselves were told to use."""

from __future__ import annotations

import os
import queue
import subprocess
import sys

import pytest

from tasks.sandbox.metering.models import Meter, NoMeter
from tasks.sandbox.metering.processes import ProcessesMeter
from tasks.sandbox.probe import protocol
from tasks.sandbox.probe.accounting import Watch, thread_wait_ns
from tasks.sandbox.probe.protocol import Bound, Line, read_lines

CHILD = """
import os, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
print("ready", flush=True)
for line in sys.stdin:
    if line == "own\\n":
        burn(0.1)
    if line == "awaited\\n" and os.fork() == 0:
        burn(0.1)
        os._exit(0)
    if line == "awaited\\n":
        os.wait()
    if line == "left\\n" and os.fork() == 0:
        burn(0.1)
        print("done", flush=True)
        time.sleep(60)
    if line != "left\\n":
        print("done", flush=True)
"""


class Seen:
    """A process as `Watch` wants it."""

    def __init__(self, pid: int | None, meter: Meter) -> None:
        self.pid, self.meter = pid, meter

    def cpu_ns(self) -> int | None:
        return self.meter.read_ns()


def test_own_work_awaited_children_and_living_ones_are_counted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        watch = Watch()
        seen = Seen(process.pid, ProcessesMeter(process.pid))
        watch.start(seen, process.pid)
        try:
            for what, left in (("own", False), ("awaited", False), ("left", True)):
                watch.idle_ns = 0
                watch.begin()
                process.stdin.write(what + "\n")
                process.stdin.flush()
                assert process.stdout.readline() == "done\n"
                watch.end()
                assert watch.cpu_ns() is not None
                assert 85_000_000 <= watch.cpu_ns() < 1_000_000_000, what  # type: ignore[operator]
                assert watch.left_processes() is left
                assert watch.wait_ns() is not None
                assert watch.idle_ns < 30_000_000
        finally:
            os.killpg(process.pid, 9)
    assert seen.cpu_ns() is None


def test_what_cannot_be_seen_is_not_measured() -> None:
    watch = Watch()
    watch.start(Seen(None, NoMeter()), 1)
    watch.begin()
    watch.end()
    assert (watch.cpu_ns(), watch.wait_ns(), watch.left_processes(), watch.idle_ns) == (None, None, False, 0)
    assert thread_wait_ns(0) == 0


def test_a_line_does_not_count_what_its_reader_waited_before_it_read(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = 0

    class Pipe:
        """Answers, each in two parts; the reader waits 5 for a core at each part, and 1000 after each answer."""

        parts = [b"one", b" line\n", b"another", b" line\n", b""]  # noqa: RUF012

        def read(self, size: int) -> bytes:
            nonlocal waited
            waited += 5
            return self.parts.pop(0)

    class Answers(queue.Queue[Line]):
        def put_nowait(self, item: Line) -> None:
            nonlocal waited
            super().put_nowait(item)
            waited += 1000

    monkeypatch.setattr(protocol, "thread_wait_ns", lambda thread: waited)
    found = Answers()
    read_lines(Pipe(), found, Bound())
    assert [found.get()[1:] for _ in range(3)] == [(10, b"one line\n"), (10, b"another line\n"), (0, b"")]
