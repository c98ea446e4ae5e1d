"""Both arms at once: who meets whom, where, and what happens without a second core."""

import os
from pathlib import Path

import pytest

from configs.errors import UserError
from configs.models import SandboxConfig, TimingConfig
from storage.store import Store
from storage.tables import Comparison, Measurement
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import Limits
from tasks.timing.processes import SessionContext
from tasks.timing.protocols.duet import duet
from tests.tasks.timing.sessions import SCRIPT, arm, session

pytestmark = pytest.mark.quiet

LONGER = SCRIPT.replace("range(4_000)", "range(20_000)")
SUM = "def total(values):\n    return sum(sorted(values)[:500])\n"
TIMING = TimingConfig(protocol="duet", min_rounds=4, max_rounds=4, processes=2, budget_s=30, seed=1)
needs_two = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="duet needs two cores")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@needs_two
def test_every_other_arm_meets_base_on_both_sides_of_a_round(store):
    found = session(
        store,
        {"base": SUM, "human": SUM, "patch:a": SUM, "patch:wrong": SUM.replace("sum(", "1 + sum(")},
        LONGER,
        TIMING,
    )
    assert {outcome.arm: outcome.status for outcome in found.outcomes} == {
        "base": "ok", "human": "ok", "patch:a": "ok", "patch:wrong": "incorrect",
    }  # fmt: skip
    pairs: dict[int, list[Measurement]] = {}
    for row in store.rows(Measurement, session_id=found.session_id, warmup=False):
        pairs.setdefault(row.round, []).append(row)
    assert (
        sorted(sorted(row.arm for row in pair) for pair in pairs.values())
        == [["base", "human"]] * 8 + [["base", "patch:a"]] * 8
    )
    answers = {(row.arm, row.against): row for row in store.rows(Comparison, session_id=found.session_id)}
    assert answers["patch:a", "human"].n_rounds == answers["human", "base"].n_rounds == 4
    assert answers["patch:a", "human"].ratio is not None


@needs_two
def test_the_arms_of_a_pair_run_on_different_cores(store):
    """An experiment's result is its core. The check wants others, but where base's meets itself, once on each."""
    where = SUM + "import os\ncore = sorted(os.sched_getaffinity(0))\n"
    script = LONGER.replace("return lib.total(state)", "return list(lib.core)").replace(
        '    assert reference == candidate, f"{reference} != {candidate}"',
        "    calls.append(candidate)\n    assert len(calls) in (1, 4) or reference != candidate",
    )
    found = session(store, {"base": where, "human": where}, script + "\ncalls = []\n", TIMING)
    assert found.base_failure == ""
    assert found.outcome_of("human").status == "ok"
    assert found.n_rounds == 8


@needs_two
def test_a_workload_that_ignores_the_seed_gets_fresh_processes_per_pair(store):
    script = LONGER.replace("random.Random(seed)", "random.Random(1)")
    remembers = "seen = []\ndef total(values):\n    seen.append(1)\n    return sum(sorted(values)[:500]) * len(seen)\n"
    found = session(store, {"base": SUM, "human": remembers, "patch:a": remembers}, script, TIMING)
    assert [found.outcome_of(name).status for name in ("human", "patch:a")] == ["ok", "ok"]


def test_one_core_is_an_error_that_says_what_to_do(store):
    arms = {name: arm(store, name, SUM) for name in ("base", "human")}
    with open_sandbox(SandboxConfig()) as sandbox:
        context = SessionContext(sandbox, store.work, arms, LONGER, "isobench", TIMING, Limits())
        with pytest.raises(UserError, match=r"needs 2 cores.*gets 1 here.*interleaved"):
            duet(context, (0,), lambda *_: set())
