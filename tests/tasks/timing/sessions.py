"""Sessions of a small library whose arms differ in one function, for the tests of timing."""

import sys
import textwrap

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from tasks.sandbox.models import Arm, Environment
from tasks.timing.models import Session
from tasks.timing.session import run_session
from tests.speed import sized

SLOW = """
def total(values):
    for _ in range(8):
        out = 0
        for v in values:
            out += v
    return out
"""
FAST = "def total(values):\n    return sum(values)\n"
SCRIPT = """
import random
import lib

def setup(seed):
    r = random.Random(seed)
    return [r.randrange(10**6) for _ in range(4_000)]

def experiment(state):
    return lib.total(state)

def check_equivalence(reference, candidate):
    assert reference == candidate, f"{reference} != {candidate}"
"""
VALUES = sized(300_000)
LONG = SCRIPT.replace("[r.randrange(10**6) for _ in range(4_000)]", f"list(range(r.randrange(999), {VALUES}))")
"""With SLOW it takes about 0.15 s."""
QUICK = TimingConfig(min_rounds=4, max_rounds=4, processes=2, budget_s=30, seed=1)
MIDDLE = LONG.replace(str(VALUES), str(VALUES // 5))
"""With SLOW it takes about 30 ms."""
ALONE = QUICK.model_copy(update={"share_core": False})
"""Calls that take less than 5 ms are batched, and else those that take less than 50 ms. MIDDLE is no batch here."""


def arm(store: Store, name: str, body: str) -> Arm:
    folder = store.work / f"arm-{name.replace(':', '-')}"
    folder.mkdir(exist_ok=True)
    (folder / "lib.py").write_text(textwrap.dedent(body))
    environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    return Arm(name=name, arm_id=f"{name}-{hash(body)}", checkout=folder.name, environment=environment)


def session(
    store: Store, bodies: dict[str, str], script: str = SCRIPT, timing: TimingConfig = QUICK, **more
) -> Session:
    return run_session(
        repo="a/b",
        instance_id=None,
        arms=[arm(store, name, body) for name, body in bodies.items()],
        test_id="t",
        script=script,
        dialect=more.get("dialect", "isobench"),
        timing=timing,
        scoring=ScoringConfig(),
        sandbox=SandboxConfig(),
        store=store,
    )
