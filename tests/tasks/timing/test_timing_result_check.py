"""Who compares: a third process, with base's code, that never ran an experiment; and nothing is unpickled outside."""

import ast
import sys
from pathlib import Path

import pytest

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from tasks.sandbox.models import Arm, Environment
from tasks.timing.session import run_session

BODIES = {"base": "NAME = 'base'\n", "patch:tuple": "NAME = 'patch'\n"}
SCRIPT = """
import os
import lib

ran = []

def setup(seed):
    return seed

def experiment(state):
    ran.append(state)
    return [state, state] if lib.NAME == "base" else (state, state)

def check_equivalence(reference, candidate):
    assert type(reference) is list
    assert lib.NAME == "base", "the patch's code compares"
    assert ran == [], "a process compares that ran the experiment"
    assert list(candidate) == reference
    assert os.environ.get("REFERENCE") is None
    {extra}
"""


@pytest.mark.parametrize(("extra", "status"), [("", "ok"), ("assert not candidate, 'I was asked'", "incorrect")])
def test_results_are_compared_in_a_third_process_with_bases_code(tmp_path: Path, extra: str, status: str) -> None:
    store = Store(tmp_path / "store")
    environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    arms = []
    for name, body in BODIES.items():
        folder = store.work / name.replace(":", "-")
        folder.mkdir()
        (folder / "lib.py").write_text(body)
        arms.append(Arm(name=name, arm_id=name, checkout=folder.name, environment=environment))
    script = SCRIPT.replace("{extra}", f"if type(candidate) is tuple:\n        {extra or 'pass'}")
    found = run_session(
        repo="a/b", instance_id=None, arms=arms, test_id="t", script=script, dialect="isobench",
        timing=TimingConfig(min_rounds=2, max_rounds=2, processes=1), scoring=ScoringConfig(), sandbox=SandboxConfig(),
        store=store,
    )  # fmt: skip
    assert found.base_failure == ""
    assert found.outcome_of("patch:tuple").status == status, found.outcome_of("patch:tuple").reason


def test_nothing_is_unpickled_outside_of_a_sandbox() -> None:
    """The probe alone knows pickle, to forbid it: what it says crosses as JSON."""
    importing = set()
    for folder in ("tasks/sandbox", "tasks/timing", "tasks/scoring"):
        for path in Path(folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            loading = any(isinstance(node, ast.Attribute) and node.attr in ("load", "loads") for node in ast.walk(tree))
            # what only writes marshal's form sends our own code in, and reads nothing
            readers = {"pickle", "cloudpickle", "dill", "shelve"} | ({"marshal"} if loading else set())
            for node in ast.walk(tree):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if {name.split(".")[0] for name in names} & readers:
                    importing.add(path.parent.name)
    assert importing == {"inside"}
