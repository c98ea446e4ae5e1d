"""What the driver does with a process that answers what it likes: it takes no number, flag or failure on trust."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from configs.models import SandboxConfig
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import Arm, Environment
from tasks.sandbox.probe.protocol import MAX_UNASKED
from tasks.sandbox.probe.session import ProbeError, ProbeSession

SCRIPT = """
import json, os, queue, sys, threading, time

def served():
    frame = sys._getframe()
    while frame.f_code.co_name != "serve":
        frame = frame.f_back
    return frame.f_locals

def answer(**fields):
    server = served()
    line = json.dumps({"id": server["request"]["id"], **fields}).encode() + b"\\n"
    os.write(server["answers"], line)

GOOD = dict(ok=True, wall_ns=5, cpu_ns=5, wait_ns=0, sleeps=0, gpu_ns=None, flags=[])

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

jobs = queue.Queue()
threading.Thread(target=lambda: [burn(seconds) for seconds in iter(jobs.get, None)], daemon=True).start()

def setup(seed):
    burn(0.05 if seed == 99 else 0)
    return seed

def experiment(state):
    BODY

def check_equivalence(reference, candidate):
    assert reference == candidate
"""


Open = Callable[[], ProbeSession]


@pytest.fixture(params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Makes processes."""
    environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    if request.param == "docker":
        image = request.getfixturevalue("docker_image")
        environment = Environment(env_id="image", kind="docker", python="python3", image=image)
    (tmp_path / "arm").mkdir()
    arm = Arm(name="patch:a", arm_id="a", checkout="arm", environment=environment)
    with ExitStack() as stack:
        sandbox = stack.enter_context(open_sandbox(SandboxConfig(kind=request.param)))
        yield lambda: stack.enter_context(ProbeSession(sandbox, arm, tmp_path, timeout_s=30))


@pytest.fixture
def probe(another: Open) -> ProbeSession:
    """One process."""
    return another()


def ready(probe: ProbeSession, body: str, seed: int = 1) -> ProbeSession:
    probe.load(SCRIPT.replace("BODY", body))
    probe.setup(seed)
    return probe


FORGED = [
    "answer(ok=False, kind='mismatch', message='base is wrong')",
    "answer(ok=False, kind='\\ud800', message='\\ud800')",
    "answer(ok=False, kind=['died'])",
    "answer(**{**GOOD, 'wall_ns': 10**30})",
    "answer(**{**GOOD, 'wait_ns': -1})",
    "answer(**{**GOOD, 'wall_ns': True})",
    "answer(**{**GOOD, 'gpu_ns': 0.5})",
    "answer(**{**GOOD, 'flags': None})",
]


def test_forged_answers_are_protocol_errors_and_never_more(another: Open) -> None:
    """Not a mismatch of base's, no number that a column cannot hold, nothing that ends a session."""
    for forged in FORGED:
        probe = ready(another(), forged)
        with pytest.raises(ProbeError) as caught:
            probe.run()
        assert caught.value.kind == "protocol", forged
        with pytest.raises(ProbeError):  # its own answer has come since, and nobody waits for that
            probe.ping()


def test_reasons_can_be_stored(probe: ProbeSession) -> None:
    with pytest.raises(ProbeError) as caught:
        ready(probe, r"raise ValueError('\ud800' + 'x' * 100_000)").run()
    assert len(caught.value.message) <= 8000
    assert (caught.value.message + caught.value.traceback).encode()


def test_flags_that_speak_of_base_are_dropped(probe: ProbeSession) -> None:
    ready(probe, "answer(**{**GOOD, 'flags': ['base_failed', 'threads_left', 3]})")
    assert probe.run().flags == ["threads_left"]


def test_a_flood_of_lines_is_not_kept(probe: ProbeSession) -> None:
    ready(probe, "os.write(served()['answers'], b'\\n' * 60000); return 1")
    with pytest.raises(ProbeError, match="not the probe's"):
        probe.run()
    assert probe._answers.qsize() <= MAX_UNASKED


def test_work_beside_the_call_is_seen_from_outside(probe: ProbeSession) -> None:
    ready(probe, "burn(0.03); return [1]")
    probe.spent()
    probe.setup(2)
    timed = probe.run()
    assert timed.cpu_ns >= 30_000_000
    assert timed.wait_ns <= timed.outside_ns
    assert probe.result_digest()
    quiet = probe.spent()
    assert quiet.idle_ns < 20_000_000
    assert quiet.digest_ns > 0
    probe.setup(99)
    assert probe.spent().setup_ns >= 50_000_000
    ready(probe, "jobs.put(0.1); return [1]")
    probe.spent()
    probe.run()
    deadline, used = time.monotonic() + 20, 0
    while used < 90_000_000 and time.monotonic() < deadline:
        time.sleep(0.05)
        used += probe.spent().idle_ns
    assert used >= 90_000_000


def test_children_that_stay_are_flagged_and_their_work_counted(probe: ProbeSession) -> None:
    ready(probe, "pid = os.fork()\n    if pid == 0:\n        time.sleep(30)\n    return 1")
    assert "processes_left" in probe.run().flags


def test_a_claimed_wait_is_held_to_what_the_kernel_saw(probe: ProbeSession) -> None:
    ready(probe, "answer(**{**GOOD, 'wait_ns': 10**14})")
    assert probe.run().wait_ns < 60 * 10**9


def test_an_iterator_gives_its_result_once_and_that_counts(probe: ProbeSession) -> None:
    """Hash and result are of one and the same reading: else a wrong result could hide behind an empty one."""
    stored = """
def store_result(result, path):
    with open(path, "w") as file:
        json.dump(list(result), file)
def load_result(path):
    with open(path) as file:
        return json.load(file)
"""
    probe.load(SCRIPT.replace("BODY", "return iter([state, 2])") + stored)
    probe.setup(1)
    probe.run()
    digest = probe.result_digest()
    assert b"[1, 2]" in probe.result()
    assert probe.result_digest() == digest


STORING = "def store_result(result, path):\n    {}\n"


def test_a_long_answer_is_a_result_in_the_probes_words_or_nothing(another: Open) -> None:
    """As JSON, a few megabytes could become objects that fill the driver's memory."""
    for forged in ("answer(ok=True, blob=[{}] * 10**6)", "answer(ok=True, blob='A' * 10**7, more={})"):
        probe = another()
        probe.load(SCRIPT.replace("BODY", "return object()") + STORING.format(forged))
        probe.setup(1)
        probe.run()
        with pytest.raises(ProbeError, match="not the probe's"):
            probe.result()


def test_an_answer_that_comes_byte_by_byte_is_late_all_the_same(probe: ProbeSession) -> None:
    slowly = "while True:\n    os.write(served()['answers'], b' ')\n    time.sleep(0.02)\n"
    with pytest.raises(ProbeError) as caught:
        probe.load(SCRIPT.replace("BODY", "pass") + slowly, timeout_s=1)
    assert (caught.value.kind, caught.value.message) == ("timeout", "load took longer than 1 s")


def test_a_process_that_reads_nothing_does_not_hold_the_driver(probe: ProbeSession) -> None:
    stops = "import signal\nthreading.Timer(0.2, os.kill, (os.getpid(), signal.SIGSTOP)).start()\n"
    probe.load(SCRIPT.replace("BODY", "pass") + stops)
    time.sleep(1)
    with pytest.raises(ProbeError) as caught:
        probe.load("#" * 3_000_000, timeout_s=1)  # more than any pipe or socket on the way takes
    assert caught.value.kind == "timeout"


def test_a_process_that_others_keep_from_running_has_its_time(tmp_path: Path) -> None:
    """Whoever hogs a core may not make another arm late: only what the process itself takes counts."""
    environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    (tmp_path / "arm").mkdir()
    arm = Arm(name="patch:a", arm_id="a", checkout="arm", environment=environment)
    core = (min(os.sched_getaffinity(0)),)
    with open_sandbox(SandboxConfig()) as sandbox, ExitStack() as stack:
        for _ in range(4):
            hog = sandbox.start(arm.command(tmp_path, ("-c", "print(1, flush=True)\nwhile True: pass"), cpus=core))
            stack.callback(hog.close, 0)
            assert hog.stdout.read(1) == b"1"
        probe = stack.enter_context(ProbeSession(sandbox, arm, tmp_path, cpus=core, timeout_s=120))
        start = time.monotonic()
        probe.load(SCRIPT.replace("BODY", "pass") + "burn(0.6)\n", timeout_s=0.8)
        assert time.monotonic() - start > 0.8  # else nobody kept it from running
