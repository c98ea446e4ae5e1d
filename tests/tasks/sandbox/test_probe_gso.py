"""Published scripts of the gso dialect run unchanged: with timeit, with their own clock, or only run_test."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.models import SandboxConfig
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import Arm, Environment
from tasks.sandbox.probe.session import CheckFailed, ProbeError, ProbeSession

HEAD = """
import argparse
import json
import random
import timeit
import time

def store_result(result, filename):
    with open(filename, "w") as f:
        json.dump(result, f)

def load_result(filename):
    with open(filename) as f:
        return json.load(f)
"""
CHECK = """
def check_equivalence(ref_result, current_result):
    assert ref_result["kind"] == "stored or raw"
    assert ref_result["sums"] == list(current_result["sums"]), "sums differ"
"""
TIMEIT = (
    HEAD
    + CHECK
    + """
timeit.template = timeit.template

def setup():
    random.seed(7)
    return [random.random() for _ in range(100)]

def experiment(data):
    return {"kind": "stored or raw", "sums": (sum(data), len(data))}

def run_test(eqcheck: bool = False, reference: bool = False, prefix: str = '') -> float:
    data = setup()
    execution_time, result = timeit.timeit(lambda: experiment(data), number=1)
    if reference:
        store_result(result, prefix + "_ref.json")
    if eqcheck:
        check_equivalence(load_result(prefix + "_ref.json"), result)
    return execution_time
"""
)
GLOBALS = (
    TIMEIT.replace("data = setup()", "global CONTEXT; CONTEXT = setup()")
    .replace("experiment(data)", "experiment()")
    .replace("def experiment():", "def experiment():\n    data = CONTEXT")
)
OWN_CLOCK = TIMEIT.replace(
    "execution_time, result = timeit.timeit(lambda: experiment(data), number=1)",
    "start = time.perf_counter(); result = experiment(data); execution_time = time.perf_counter() - start",
)
ONLY_RUN_TEST = (
    HEAD
    + CHECK
    + """
def run_test(eqcheck=False, reference=False, prefix=''):
    start = time.time()
    result = {"kind": "stored or raw", "sums": [sum(range(1000)), 3]}
    elapsed = time.time() - start
    if reference:
        store_result(result, prefix + "_ref.json")
    return elapsed
"""
)
FROM_IMPORT = (
    TIMEIT.replace("import timeit\n", "from timeit import timeit\n")
    .replace("timeit.template = timeit.template", "")
    .replace("timeit.timeit(", "timeit(")
)


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[ProbeSession]:
    (tmp_path / "arm").mkdir()
    environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    arm = Arm(name="base", arm_id="base", checkout="arm", environment=environment)
    with open_sandbox(SandboxConfig()) as sandbox, ProbeSession(sandbox, arm, tmp_path, timeout_s=20) as session:
        yield session


@pytest.mark.parametrize("script", [TIMEIT, GLOBALS, OWN_CLOCK, ONLY_RUN_TEST, FROM_IMPORT])
def test_scripts_run_and_their_results_are_checked(probe, script):
    probe.load(script, "gso")
    probe.setup(1)
    probe.run()
    blob = probe.result()
    probe.check(blob, blob)
    probe.load(script.replace("len(data))", "len(data) + 1)").replace(", 3]", ", 4]"), "gso")
    probe.setup(1)
    probe.run()
    with pytest.raises(CheckFailed, match="sums differ"):
        probe.check(blob, probe.result())


KINDS = """
def check_equivalence(ref_result, current_result):
    assert type(ref_result["sums"]) is list, "the reference was not loaded"
    assert type(current_result["sums"]) is tuple, "the candidate is not raw"
"""


@pytest.mark.parametrize("parameters", ["ref_result, current_result", "current_result, ref_result", "cur, ref"])
def test_the_reference_is_loaded_and_the_order_is_the_scripts_own(probe, parameters):
    check = KINDS.replace("ref_result, current_result", parameters)
    if parameters == "cur, ref":
        check = check.replace("ref_result", "ref").replace("current_result", "cur")
    probe.load(TIMEIT.replace(CHECK, check), "gso")
    probe.setup(1)
    probe.run()
    probe.check(probe.result(), probe.result())


def test_failures_inside_run_test_are_the_scripts(probe):
    probe.load(TIMEIT.replace("random.seed(7)", "raise ValueError('no data')"), "gso")
    with pytest.raises(ProbeError, match="no data"):
        probe.setup(1)
    with pytest.raises(ProbeError, match="neither run_test nor"):
        probe.load(textwrap.dedent("x = 1"), "gso")
