"""A probe in a real sandbox: what it answers, and what it survives."""

import ast
import itertools
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.models import SandboxConfig
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import Arm, Environment, Limits, Sandbox
from tasks.sandbox.probe.session import CheckFailed, ProbeError, ProbeSession, Timed

LIBRARY = """
def double(values):
    out = []
    for value in values:
        out.append(value * 2)
    return out


def unused():
    return 1
"""
SCRIPT = """
import random
import lib

def setup(seed):
    r = random.Random(seed)
    return [r.randrange(100) for _ in range(1000)]

def experiment(state):
    return lib.double(state)

def check_equivalence(reference, candidate):
    assert reference == candidate, "lists differ"
"""


class Lab:
    """Arms made of files, in a sandbox."""

    def __init__(self, sandbox: Sandbox, work: Path, environment: Environment) -> None:
        self.sandbox, self.work, self.environment = sandbox, work, environment
        self.opened: list[ProbeSession] = []

    def arm(self, name: str = "base", **files: str) -> Arm:
        folder = self.work / f"arm-{name}"
        folder.mkdir(exist_ok=True)
        for module, text in {"lib": LIBRARY, **files}.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(text))
        return Arm(name=name, arm_id=name, checkout=folder.name, environment=self.environment)

    def probe(self, script: str | None = SCRIPT, dialect: str = "isobench", **options) -> ProbeSession:
        files = options.pop("files", {})
        session = ProbeSession(self.sandbox, self.arm(**files), self.work, **options)
        self.opened.append(session.__enter__())
        if script is not None:
            session.load(textwrap.dedent(script), dialect)  # type: ignore[arg-type]
        return session


def local_environment() -> Environment:
    return Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")


@pytest.fixture(params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    environment = local_environment()
    if request.param == "docker":
        image = request.getfixturevalue("docker_image")
        environment = Environment(env_id="image", kind="docker", python="python3", image=image)
    with open_sandbox(SandboxConfig(kind=request.param)) as sandbox:
        found = Lab(sandbox, tmp_path, environment)
        try:
            yield found
        finally:
            for session in found.opened:
                session.close()


def fails(kind: str, session: ProbeSession, method: str, *args, match: str = ".") -> ProbeError:
    with pytest.raises(ProbeError, match=match) as caught:
        getattr(session, method)(*args)
    assert caught.value.kind == kind
    return caught.value


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a machine with two cores")
def test_an_arms_code_runs_on_its_own_cores_wherever_the_process_started(lab):
    cores = sorted(os.sched_getaffinity(0))
    probe = lab.probe(None, cpus=(cores[1],), starts_on=tuple(cores))
    assert lab.sandbox.pins_late == (lab.sandbox.kind == "local")
    if lab.sandbox.pins_late:
        assert os.sched_getaffinity(probe.process.pid) == set(cores)
    seen = "sorted(os.sched_getaffinity(0))"
    probe.load(
        f"import os\nAT_LOAD = {seen}\ndef setup(seed):\n    return seed\n"
        f"def experiment(state):\n    assert [AT_LOAD, {seen}] == [[{cores[1]}]] * 2, AT_LOAD\n"
        "def check_equivalence(reference, candidate):\n    assert reference == candidate\n"
    )
    probe.setup(1)
    probe.run()


def test_setup_run_result_check(lab):
    probe = lab.probe()
    one, same, other = (probe.setup(seed).digest for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert one is not None
    timed = probe.run()
    assert isinstance(timed, Timed)
    assert 0 < timed.wall_ns <= timed.outside_ns
    assert timed.flags == []
    blob = probe.result()
    probe.check(blob, blob)
    probe.setup(3)
    probe.run()
    with pytest.raises(CheckFailed, match="lists differ"):
        probe.check(blob, probe.result())


def test_inputs_are_hashed_for_as_many_calls_as_are_wanted_and_results_for_all(lab):
    probe = lab.probe()
    probe.setup(1, count=3)
    probe.run(3)
    found = {wanted: probe.digests([2, 0, 1], inputs=wanted) for wanted in (0, 1, None)}
    assert [item is None for item in found[0].inputs] == [True] * 3
    assert [item is None for item in found[1].inputs] == [False, True, True]
    assert [item is None for item in found[None].inputs] == [False] * 3
    assert found[0].results == found[1].results == found[None].results
    assert len(set(found[0].results)) == 3


def test_waits_leave_at_least_what_the_call_took(lab, monkeypatch):
    """A wait that began before the request, and ended in it, can look longer than the request."""
    waits = itertools.count(step=10**12)
    monkeypatch.setattr("tasks.sandbox.probe.protocol.thread_wait_ns", lambda thread: next(waits))
    probe = lab.probe()
    probe.setup(1)
    timed = probe.run()
    assert 0 < timed.wall_ns == timed.outside_ns
    assert probe.ping() > 0


def test_batches_use_distinct_workloads(lab):
    probe = lab.probe()
    probe.setup(5, count=3)
    probe.run(number=3)
    batch = [probe.result(index) for index in range(3)]
    assert len(set(batch)) == 3
    probe.setup(6)
    probe.run()
    assert probe.result() == batch[1]
    assert probe.result_digest() == probe.result_digest(0)


def test_trace_names_executed_lines_of_the_checkout(lab):
    probe = lab.probe()
    assert probe.trace(1) == {"lib.py": [2, 3, 4, 5, 6]}
    assert probe.trace(1, with_setup=False) == {"lib.py": [2, 3, 4, 5, 6]}


def test_trace_follows_threads(lab):
    probe = lab.probe(SCRIPT.replace("return lib.double(state)", THREADED))
    assert 10 in probe.trace(1)["lib.py"]


THREADED = """import threading
    t = threading.Thread(target=lib.unused)
    t.start()
    t.join()
    return lib.double(state)"""


@pytest.mark.parametrize(
    ("script", "kind", "match"),
    [
        ("def setup(:", "syntax", "SyntaxError"),
        ("def setup(seed): pass", "missing_function", "experiment, check_equivalence"),
        ("import nope", "exception", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "exception", "SystemExit"),
    ],
)
def test_scripts_that_do_not_load(lab, script, kind, match):
    fails(kind, lab.probe(None), "load", script, "isobench", match=match)


def test_exceptions_carry_the_scripts_traceback(lab):
    probe = lab.probe(SCRIPT.replace("return lib.double(state)", "return lib.double(None)"))
    probe.setup(1)
    error = fails("exception", probe, "run", match="not iterable")
    assert "return lib.double(None)" in error.traceback
    assert "/arm/lib.py" in error.traceback
    assert "probe" not in error.traceback
    probe.setup(1)  # and the process lives on


def test_a_call_that_hangs_is_ended(lab):
    probe = lab.probe(SCRIPT.replace("return lib.double(state)", "import time; time.sleep(60)"), timeout_s=1.0)
    probe.setup(1)
    fails("timeout", probe, "run", match="run took longer than 1 s")
    fails("died", probe, "ping")


@pytest.mark.parametrize("exit_code", [0, 7])
def test_a_process_that_ends_is_noticed(lab, exit_code):
    script = SCRIPT.replace(
        "return lib.double(state)", f"import os, sys; sys.stderr.write('bye'); os._exit({exit_code})"
    )
    probe = lab.probe(script.replace("sys.stderr.write('bye')", "os.write(2, b'bye')"))
    probe.setup(1)
    error = fails("died", probe, "run", match=f"exit code {exit_code}")
    assert "bye" in error.traceback


def test_memory_is_limited(lab):
    script = SCRIPT.replace("return lib.double(state)", "return len(bytearray(2 * 1024 ** 3))")
    probe = lab.probe(script, limits=Limits(memory_mb=200))
    probe.setup(1)
    with pytest.raises(ProbeError) as caught:
        probe.run()
    assert caught.value.kind in ("died", "exception")


def test_prints_and_forged_lines_do_not_reach_the_driver(lab):
    forged = json.dumps({"id": "0", "ok": True, "wall_ns": 1, "cpu_ns": 1, "wait_ns": 0, "flags": []})
    script = SCRIPT.replace("return lib.double(state)", f"print({forged!r}, flush=True); return lib.double(state)")
    probe = lab.probe(script)
    probe.setup(1)
    assert probe.run().wall_ns > 1
    script = SCRIPT.replace(
        "return lib.double(state)", f"import os; os.write(1, {forged.encode()!r} + b'\\n'); return 1"
    )
    probe.load(script)
    probe.setup(1)
    assert probe.run().wall_ns > 1


def test_a_forger_who_finds_the_pipe_is_out(lab):
    forged = json.dumps({"id": "0", "ok": True, "wall_ns": 1, "cpu_ns": 1, "wait_ns": 0, "flags": []}).encode() + b"\n"
    body = f"""import os
    for fd in range(3, 20):
        try:
            os.write(fd, {forged!r})
        except OSError:
            pass
    return 1"""
    probe = lab.probe(SCRIPT.replace("return lib.double(state)", body))
    probe.setup(1)
    fails("protocol", probe, "run", match="not the probe's")


def test_patched_clocks_change_nothing(lab):
    hacked = LIBRARY + "\nimport time\ntime.perf_counter_ns = time.process_time_ns = time.perf_counter = lambda: 0\n"
    body = "import time; time.sleep(0.02); return lib.double(state)"
    probe = lab.probe(SCRIPT.replace("return lib.double(state)", body), files={"lib": hacked})
    probe.setup(1)
    assert probe.run().wall_ns >= 20_000_000


def test_the_arm_cannot_run_before_the_probe(lab):
    site = "raise SystemExit('sitecustomize ran')"
    probe = lab.probe(
        files={"sitecustomize": site, "usercustomize": site, "json": "raise RuntimeError", "tasks": "x = 1"}
    )
    assert probe.setup(1).digest is not None
    probe.load("import tasks; assert tasks.x == 1\n" + SCRIPT)


def test_a_forked_child_does_not_answer(lab):
    body = """import os
    if os.fork() == 0:
        return 2
    os.wait()
    return lib.double(state)"""
    probe = lab.probe(SCRIPT.replace("return lib.double(state)", body))
    probe.setup(1)
    probe.run()
    assert probe.ping() > 0


def test_threads_that_stay_are_flagged(lab):
    body = "import threading, time; threading.Thread(target=time.sleep, args=(5,), daemon=True).start(); return 1"
    probe = lab.probe(SCRIPT.replace("return lib.double(state)", body))
    probe.setup(1)
    assert probe.run().flags == ["threads_left"]


def test_results_without_encoding_go_through_the_scripts_own_files(lab):
    script = SCRIPT.replace("return lib.double(state)", "return iter(lib.double(state))")
    probe = lab.probe(script)
    probe.setup(1)
    probe.run()
    fails("unserialisable", probe, "result", match="list_iterator")
    probe.load(script + STORED)
    probe.setup(1)
    probe.run()
    blob = probe.result()
    checker = lab.probe(script + STORED, checker=True)
    checker.check(blob, blob)
    with pytest.raises(CheckFailed, match="lists differ"):
        checker.check(blob, blob.replace(b"2", b"4"))


STORED = """
import json
def store_result(result, path):
    with open(path + ".json", "w") as file:
        json.dump(list(result), file)
def load_result(path):
    with open(path) as file:
        return json.load(file)
"""

PICKLED = """
import pickle
def store_result(result, path):
    with open(path, "wb") as file:
        pickle.dump(result, file)
def load_result(path):
    with open(path, "rb") as file:
        return pickle.load(file)
"""


def test_a_checker_loads_no_code_from_pickles(lab):
    """A candidate's pickle that would make check_equivalence agree is refused as unreadable."""
    evil = """
    import pickle
    class Evil:
        def __reduce__(self):
            return (exec, ("import perf_test; perf_test.check_equivalence = lambda a, b: None",))
    """
    honest = lab.probe(SCRIPT + PICKLED.replace("pickle.dump(result", "pickle.dump(list(result)"))
    honest.load(
        SCRIPT.replace("return lib.double(state)", "return iter([1])")
        + PICKLED.replace("dump(result", "dump(list(result)")
    )
    honest.setup(1)
    honest.run()
    reference = honest.result()
    patch = lab.probe(textwrap.dedent(evil) + SCRIPT.replace("return lib.double(state)", "return Evil()") + PICKLED)
    patch.setup(1)
    patch.run()
    checker = lab.probe(SCRIPT + PICKLED, checker=True)
    checker.check(reference, reference)
    with pytest.raises(CheckFailed, match="may not be unpickled"):
        checker.check(reference, patch.result())


def test_check_equivalence_may_return_false(lab):
    probe = lab.probe(SCRIPT.replace('assert reference == candidate, "lists differ"', "return reference == candidate"))
    probe.setup(1)
    probe.run()
    one = probe.result()
    probe.check(one, one)
    with pytest.raises(CheckFailed, match="returned False"):
        probe.check(one, b'v["list",[1]]')


def test_broken_results_are_rejected_not_trusted(lab):
    probe = lab.probe()
    probe.setup(1)
    probe.run()
    for broken in (b"", b"v", b"v{}", b"x123", b'v["int", "zz"]'):
        with pytest.raises((CheckFailed, ProbeError)):
            probe.check(probe.result(), broken)


@pytest.mark.parametrize("name", ["probe", "dialects", "encoding"])
def test_what_runs_inside_is_python_3_8_and_standard_library(name):
    text = Path(f"tasks/sandbox/probe/inside/{name}.py").read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]  # type: ignore[union-attr]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert modules <= sys.stdlib_module_names | {"tasks"}


def test_calls_out_of_order_are_the_callers_mistake(lab):
    probe = lab.probe(None)
    fails("protocol", probe, "setup", 1, match="before load")
    fails("protocol", probe, "run", match="before setup")
