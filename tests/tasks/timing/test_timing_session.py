"""Whole sessions with real processes: who drops out and why, and what the rows say. No assertion on how fast."""

import textwrap
from pathlib import Path

import pytest

from configs.models import TimingConfig
from storage.store import Store
from storage.tables import Comparison, Machine, Measurement
from tasks.timing.charging import charges
from tasks.timing.models import ArmState, Session, SessionState
from tasks.timing.protocols.sequential import SEQUENTIAL_RUNS
from tasks.timing.rows import samples_of
from tasks.timing.verdict import compare
from tests.speed import sized
from tests.tasks.timing.sessions import ALONE, FAST, MIDDLE, QUICK, SCRIPT, SLOW, session

pytestmark = pytest.mark.quiet


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def rows(store: Store, found: Session) -> dict[tuple[str, str], Comparison]:
    return {(row.arm, row.against): row for row in store.rows(Comparison, session_id=found.session_id)}


def test_arms_drop_out_with_their_status_and_the_others_go_on(store):
    found = session(
        store,
        {
            "base": SLOW,
            "human": FAST,
            "patch:wrong": "def total(values):\n    return sum(values) + 1\n",
            "patch:broken": "def total(values):\n    raise ValueError('no')\n",
            "patch:import": "import not_there\n",
            "patch:exit": "import os\ndef total(values):\n    os._exit(0)\n",
            "patch:hangs": "import time\ndef total(values):\n    time.sleep(60)\n",
            "patch:equal": FAST,
        },
        timing=QUICK.model_copy(update={"call_timeout_s": 2.0}),
    )
    statuses = {outcome.arm: outcome.status for outcome in found.outcomes}
    assert statuses == {
        "base": "ok", "human": "ok", "patch:wrong": "incorrect", "patch:broken": "error", "patch:import": "error",
        "patch:exit": "error", "patch:hangs": "timeout", "patch:equal": "ok",
    }  # fmt: skip
    assert "!=" in found.outcome_of("patch:wrong").reason
    assert "ValueError: no" in found.outcome_of("patch:broken").reason
    assert "not_there" in found.outcome_of("patch:import").describe()
    comparisons = rows(store, found)
    assert len(comparisons) == 7 + 6  # everyone against base, every patch against human
    assert comparisons["human", "base"].ratio > 1
    assert comparisons["patch:wrong", "base"].ratio is None
    assert comparisons["patch:wrong", "human"].verdict == "no"
    assert comparisons["patch:equal", "human"].n_rounds == found.n_rounds == 4


def test_every_round_has_every_arm_once_on_the_same_fresh_seed(store):
    found = session(store, {"base": SLOW, "human": SLOW, "patch:equal": SLOW}, MIDDLE, ALONE)
    measured = store.rows(Measurement, session_id=found.session_id)
    by_round = {}
    for row in measured:
        by_round.setdefault(row.round, []).append(row)
    warm: dict[int, list[bool]] = {}
    for _, members in sorted(by_round.items()):
        warm.setdefault(members[0].process, []).append(members[0].warmup)
    for set_of_processes in (0, 1):  # four rounds count, and each set begins with warm-up
        assert warm[set_of_processes].count(False) == 2
        assert warm[set_of_processes][0]
        assert warm[set_of_processes] == sorted(warm[set_of_processes], reverse=True)
    for members in by_round.values():
        assert sorted(row.arm for row in members) == ["base", "human", "patch:equal"]
        assert sorted(row.order for row in members) == [0, 1, 2]
        assert len({row.seed for row in members}) == len({row.process for row in members}) == 1
        assert all(row.correct for row in members)
    assert len({members[0].seed for members in by_round.values()}) == len(by_round)
    assert {row.machine_id for row in measured} == {row.machine_id for row in store.rows(Machine)}
    assert len({tuple(row.arm for row in sorted(m, key=lambda row: row.order)) for m in by_round.values()}) > 1


def test_seeds_cannot_be_known_beforehand_unless_asked_for(store):
    timing = ALONE.model_copy(update={"seed": None, "min_rounds": 2, "max_rounds": 2, "processes": 1})
    seeds = []
    for chosen in (timing, timing, ALONE, ALONE):
        found = session(store, {"base": SLOW, "human": SLOW}, MIDDLE, timing=chosen)
        seeds.append([row.seed for row in store.rows(Measurement, session_id=found.session_id, arm="base")])
    assert seeds[0] != seeds[1]
    assert seeds[2] == seeds[3]


def test_short_calls_are_batched_on_distinct_workloads(store):
    found = session(store, {"base": FAST, "human": FAST})
    assert found.number > 1
    measured = store.rows(Measurement, session_id=found.session_id)
    assert {row.number for row in measured if row.arm == "base" and not row.warmup} == {found.number}
    assert min(row.number for row in measured if not row.warmup) > 1


def test_an_arm_much_faster_than_base_gets_larger_batches_that_base_shares_one_call_of(store):
    bodies = {"base": SLOW.replace("range(8)", "range(60)"), "human": FAST, "patch:a": FAST}
    timing = ALONE.model_copy(update={"min_rounds": 10, "max_rounds": 10})
    found = session(store, bodies, MIDDLE, timing)
    assert found.number == 1
    measured = [row for row in store.rows(Measurement, session_id=found.session_id) if not row.warmup]
    by_round = {}
    for row in measured:
        by_round.setdefault(row.round, {})[row.arm] = row
    offsets = set()
    for arms in by_round.values():
        base, human = arms["base"], arms["human"]
        assert base.number == 1
        assert human.number > 1
        assert 0 <= base.seed - human.seed < human.number
        offsets.add(base.seed - human.seed)
    assert len(offsets) > 1
    assert found.outcome_of("patch:a").status == "ok"


def test_any_call_of_a_larger_batch_may_be_the_one_that_is_compared(store):
    script = SCRIPT.replace("range(4_000)", f"range({sized(16_000)})")
    wrong = "calls = 0\ndef total(values):\n    global calls\n    calls += 1\n    return sum(values) + calls % 2\n"
    timing = QUICK.model_copy(update={"min_rounds": 12, "max_rounds": 12})
    found = session(
        store, {"base": SLOW.replace("range(8)", "range(40)"), "human": FAST, "patch:a": wrong}, script, timing
    )
    assert found.outcome_of("patch:a").status == "incorrect"


def test_a_wrong_result_in_any_call_of_a_batch_may_be_the_one_that_is_compared(store):
    """Wrong on half of all workloads: no batch survives many rounds."""
    wrong = "def total(values):\n    return sum(values) + (values[0] % 2)\n"
    found = session(
        store, {"base": FAST, "patch:a": wrong}, timing=QUICK.model_copy(update={"min_rounds": 12, "max_rounds": 12})
    )
    assert found.outcome_of("patch:a").status == "incorrect"


def test_a_workload_that_ignores_the_seed_gets_fresh_processes_so_that_memories_are_useless(store):
    """The patch remembers its results in the module: it never gets to use them."""
    script = SCRIPT.replace("random.Random(seed)", "random.Random(1)")
    remembers = """
    seen = {}
    def total(values):
        key = len(values)
        if key in seen:
            return -1
        seen[key] = sum(values)
        return seen[key]
    """
    found = session(store, {"base": FAST, "patch:a": remembers}, script)
    assert found.outcome_of("patch:a").status == "ok"
    measured = store.rows(Measurement, session_id=found.session_id, arm="base", warmup=False)
    assert len({row.process for row in measured}) == len(measured) == 4


@pytest.mark.parametrize(
    ("base", "script", "reason"),
    [
        ("import not_there", SCRIPT, "not_there"),
        (FAST, SCRIPT.replace("reference == candidate", "False"), "rejects base's own result"),
        (FAST, "x = 1", "missing_function"),
    ],
)
def test_a_base_that_cannot_be_timed_says_nothing_about_the_arms(store, base, script, reason):
    found = session(store, {"base": base, "human": FAST}, script)
    assert reason in found.base_failure
    row = rows(store, found)["human", "base"]
    assert (row.status, row.verdict, row.flags) == ("error", "inconclusive", ["base_failed"])


def test_a_human_that_fails_leaves_the_patches_without_an_answer_against_it(store):
    found = session(store, {"base": SLOW, "human": "def total(values):\n    return 0\n", "patch:a": FAST})
    against_human = rows(store, found)["patch:a", "human"]
    assert (against_human.status, against_human.verdict) == ("error", "inconclusive")
    assert "against_failed" in against_human.flags
    assert rows(store, found)["patch:a", "base"].ratio > 0


def test_sequential_runs_fresh_processes_arm_after_arm(store):
    timing = TimingConfig(protocol="sequential", seed=1)
    wrong = "def total(values):\n    return 0\n"
    found = session(store, {"base": SLOW, "human": FAST, "patch:wrong": wrong}, timing=timing)
    measured = sorted(store.rows(Measurement, session_id=found.session_id), key=lambda row: row.started_at)
    arms = [row.arm for row in measured]
    assert arms == ["base"] * SEQUENTIAL_RUNS + ["human"] * SEQUENTIAL_RUNS + ["patch:wrong"]
    assert rows(store, found)["human", "base"].verdict in ("yes", "no")
    assert found.outcome_of("patch:wrong").status == "incorrect"


def test_gso_scripts_run_in_a_session(store):
    script = """
    import json, timeit
    import lib
    def setup():
        return list(range(200_000))
    def experiment(data):
        return lib.total(data)
    def store_result(result, filename):
        json.dump(result, open(filename, "w"))
    def load_result(filename):
        return json.load(open(filename))
    def check_equivalence(ref_result, current_result):
        assert ref_result == current_result
    def run_test(eqcheck=False, reference=False, prefix=''):
        data = setup()
        execution_time, result = timeit.timeit(lambda: experiment(data), number=1)
        return execution_time
    """
    found = session(
        store,
        {"base": SLOW, "human": FAST, "patch:w": "def total(values):\n    return 0\n"},
        textwrap.dedent(script),
        dialect="gso",
    )
    assert found.base_failure == ""
    assert found.outcome_of("human").status == "ok"
    assert found.outcome_of("patch:w").status == "incorrect"


def test_arms_must_be_distinct_and_hold_base(store):
    with pytest.raises(ValueError, match="include base"):
        session(store, {"human": FAST})


def test_time_up_ends_a_session_with_what_there_is(store):
    timing = TimingConfig(min_rounds=8, max_rounds=60, processes=2, budget_s=0.01, seed=1)
    found = session(store, {"base": SLOW, "human": SLOW}, timing=timing)
    assert found.n_rounds <= 2
    assert found.outcome_of("human").status == "ok"


def test_a_verdict_can_be_checked_from_the_store_alone(store):
    found = session(store, {"base": SLOW, "human": FAST}, MIDDLE)
    rows = sorted(store.rows(Measurement, session_id=found.session_id), key=lambda row: row.round)
    state = SessionState(states={name: ArmState(name) for name in ("base", "human")}, samples=samples_of(rows))
    compared = compare(state, "human", "base", 0.95, "interleaved")
    (row,) = store.rows(Comparison, session_id=found.session_id)
    assert compared is not None
    assert compared.found.ratio == pytest.approx(row.ratio)
    assert compared.calls.ratio == pytest.approx(row.calls_ratio)
    assert [sample.charge_ns for sample in rows if sample.arm == "human" and not sample.warmup] == pytest.approx(
        list(charges(state.samples, "human").values())
    )
