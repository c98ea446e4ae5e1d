"""Both arms at once: who meets whom, where, and what happens without a second core."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from configs.errors import UserError
from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from storage.tables import Comparison, Measurement
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import Arm, Environment, Limits
from tasks.timing.models import Session
from tasks.timing.protocols.duet import duet
from tasks.timing.rounds import Track
from tasks.timing.session import run_session

SCRIPT = """
import os, random, time
import lib

def setup(seed):
    r = random.Random(seed)
    return [r.randrange(10**6) for _ in range(20_000)]

def experiment(state):
    return lib.total(state)

def check_equivalence(reference, candidate):
    assert reference == candidate
"""
SUM = "def total(values):\n    return sum(sorted(values)[:500])\n"
TIMING = TimingConfig(protocol="duet", min_rounds=4, max_rounds=4, processes=2, budget_s=30, seed=1)
needs_two = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="duet needs two cores")


@dataclass
class Bench:
    """A store, and arms made of the text of their library."""

    store: Store
    made: list[Arm] = field(default_factory=list)

    def arm(self, name: str, body: str) -> Arm:
        folder = self.store.work / f"arm-{name.replace(':', '-')}"
        folder.mkdir(exist_ok=True)
        (folder / "lib.py").write_text(body)
        environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
        return Arm(name=name, arm_id=name, checkout=folder.name, environment=environment)

    def session(self, bodies: dict[str, str], script: str = SCRIPT, timing: TimingConfig = TIMING) -> Session:
        return run_session(
            repo="a/b", instance_id=None, arms=[self.arm(name, body) for name, body in bodies.items()], test_id="t",
            script=script, dialect="isobench", timing=timing, scoring=ScoringConfig(), sandbox=SandboxConfig(),
            store=self.store,
        )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Store(tmp_path / "store"))


@needs_two
def test_every_other_arm_meets_base_on_both_sides_of_a_round(bench):
    found = bench.session({"base": SUM, "human": SUM, "patch:a": SUM, "patch:wrong": SUM.replace("sum(", "1 + sum(")})
    assert {outcome.arm: outcome.status for outcome in found.outcomes} == {
        "base": "ok", "human": "ok", "patch:a": "ok", "patch:wrong": "incorrect",
    }  # fmt: skip
    pairs: dict[int, list[Measurement]] = {}
    for row in bench.store.rows(Measurement, session_id=found.session_id, warmup=False):
        pairs.setdefault(row.round, []).append(row)
    assert (
        sorted(sorted(row.arm for row in pair) for pair in pairs.values())
        == [["base", "human"]] * 8 + [["base", "patch:a"]] * 8
    )
    answers = {(row.arm, row.against): row for row in bench.store.rows(Comparison, session_id=found.session_id)}
    assert answers["patch:a", "human"].n_rounds == answers["human", "base"].n_rounds == 4
    assert answers["patch:a", "human"].ratio is not None


@needs_two
def test_the_arms_of_a_pair_run_on_different_cores(bench):
    """An experiment's result is its core. The check wants different ones, but for base's result against itself."""
    where = SUM + "import os\ncore = sorted(os.sched_getaffinity(0))\n"
    script = SCRIPT.replace("return lib.total(state)", "return list(lib.core)").replace(
        "    assert reference == candidate",
        "    global calls\n    calls += 1\n    assert len(candidate) == 1 and (calls == 3 or reference != candidate)",
    )
    found = bench.session({"base": where, "human": where}, script + "\ncalls = 0\n")
    assert found.base_failure == ""
    assert found.outcome_of("human").status == "ok"
    assert found.n_rounds == 8


@needs_two
def test_a_workload_that_ignores_the_seed_gets_fresh_processes_per_pair(bench):
    script = SCRIPT.replace("random.Random(seed)", "random.Random(1)")
    remembers = "seen = []\ndef total(values):\n    seen.append(1)\n    return sum(sorted(values)[:500]) * len(seen)\n"
    found = bench.session({"base": SUM, "human": remembers, "patch:a": remembers}, script)
    assert [found.outcome_of(name).status for name in ("human", "patch:a")] == ["ok", "ok"]


def test_one_core_is_an_error_that_says_what_to_do(bench):
    arms = {name: bench.arm(name, SUM) for name in ("base", "human")}
    with open_sandbox(SandboxConfig()) as sandbox:
        track = Track(sandbox, bench.store.work, arms, SCRIPT, "isobench", TIMING, Limits())
        with pytest.raises(UserError, match=r"needs 2 cores.*gets 1 here.*interleaved"):
            duet(track, (0,), lambda *_: set())
