"""Arms that share a core: when they may, what each is charged for, and what happens to one that takes it all."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.models import TimingConfig
from storage.store import Store
from storage.tables import Measurement
from tasks.timing.clocks import call_times, clock_flags
from tasks.timing.models import Sample
from tasks.timing.protocols.core_sharing import may_share
from tests.tasks.timing.sessions import FAST, LONG, QUICK, SLOW, session

pytestmark = pytest.mark.quiet

MS = 1_000_000
THREADS = """
import threading
def total(values):
    found = []
    def work():
        for _ in range(8):
            out = 0
            for v in values:
                out += v
        found.append(out)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]
"""
SLEEPS = """
import time
def total(values):
    time.sleep(0.01)
    return sum(values) * 1
"""
HANGS_LATER = """
calls = []
def total(values):
    calls.append(1)
    while len(calls) > 1:
        pass
    return sum(values)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def sample(arm: str, turn: int = 0, **more: float) -> Sample:
    """`more` in milliseconds; 100 ms that had the core to themselves."""
    times = {"wall_ns": 100.0, "cpu_ns": 100.0, "wait_ns": 0.0, "outside_ns": 100.1, **more}
    return Sample(
        arm=arm, process=0, round=turn, order=0, seed=turn, number=1, setup_ns=MS, correct=True, warmup=False,
        cpu_bound=True, started_at=datetime(2024, 1, 1, tzinfo=UTC),
        **{name: round(value * MS) for name, value in times.items()},
    )  # fmt: skip


def co_runners(store: Store, **more) -> dict[bool, set[bool]]:
    """Whether calls had co-runners, of warm-up and of counted rounds."""
    found = session(store, **more)
    rows = store.rows(Measurement, session_id=found.session_id)
    return {warmup: {row.company_ns > 0 for row in rows if row.warmup == warmup} for warmup in (True, False)}


def test_counted_calls_of_one_thread_share_the_core_and_wait_for_each_other(store):
    assert co_runners(store, bodies={"base": SLOW, "human": SLOW}, script=LONG) == {True: {False}, False: {True}}
    rows = [row for row in store.rows(Measurement) if not row.warmup]
    assert all(row.cpu_bound for row in rows)
    for row in rows:
        both = [other.cpu_ns for other in rows if other.round == row.round]
        assert row.company_ns == min(both)


@pytest.mark.parametrize(
    ("human", "settings"),
    [
        (THREADS, {}),
        (SLEEPS, {}),
        (SLOW, {"share_core": False}),
        (SLOW, {"cores": 2}),
        (SLOW, {"call_timeout_s": 0.35}),
    ],
    ids=["further thread", "sleeps", "not wanted", "two cores each", "too long for one time limit"],
)
def test_calls_that_cannot_be_told_apart_do_not_share(store, human, settings):
    timing = QUICK.model_copy(update={"min_rounds": 2, "max_rounds": 2, "processes": 1, **settings})
    found = co_runners(store, bodies={"base": SLOW, "human": human}, script=LONG, timing=timing)
    assert found[False] <= {False}  # (empty if a call was too long even for itself)


def test_where_the_kernel_cannot_be_read_nothing_is_shared():
    both = [sample("base"), sample("human")]
    assert may_share(both, TimingConfig())
    assert not may_share(both[:1], TimingConfig())
    assert not may_share([both[0], dataclasses.replace(both[1], cpu_bound=False)], TimingConfig())
    assert not may_share(both, TimingConfig(device="cuda"))


def test_an_arm_that_takes_the_core_until_time_is_up_is_out_and_the_others_are_timed_again(store):
    found = session(
        store,
        {"base": SLOW, "human": FAST, "patch:hangs": HANGS_LATER},
        LONG,
        QUICK.model_copy(update={"call_timeout_s": 4.0, "min_rounds": 2, "max_rounds": 2, "processes": 1}),
    )
    assert found.outcome_of("patch:hangs").status == "timeout"
    assert found.outcome_of("human").status == "ok"
    assert found.n_rounds == 2
    assert not any(row.company_ns for row in store.rows(Measurement, session_id=found.session_id))


def test_a_call_is_charged_for_its_own_time_and_no_more_wait_is_believed_than_co_runners_explain():
    base = [sample("base", n, wall_ns=195, wait_ns=95, outside_ns=195.1, company_ns=95) for n in range(4)]
    fair = [sample("patch:a", n, wall_ns=190, wait_ns=95, outside_ns=190.1, company_ns=100) for n in range(4)]
    assert [round(ns / MS) for ns in call_times(base + fair, "patch:a").values()] == [95] * 4
    assert clock_flags(base + fair, "patch:a") == []
    # It lets a hidden process compute and claims that the wait for it was base's: 90 ms more than base used.
    times = {"wall_ns": 290, "wait_ns": 190, "outside_ns": 290.1, "company_ns": 100}
    cheat = [dataclasses.replace(sample("patch:a", n, **times), cpu_bound=False) for n in range(4)]
    assert min(call_times(base + cheat, "patch:a").values()) > 170 * MS
    assert clock_flags(base + cheat, "patch:a") == ["clocks_disagree"]


def test_where_only_the_core_was_needed_cpu_time_counts_and_else_the_wall_time_without_waits():
    """A neighbour's machine had the core for 60 ms of 160."""
    taken = [sample(arm, n, wall_ns=160, outside_ns=160.1) for arm in ("base", "patch:a") for n in range(4)]
    assert [round(ns / MS) for ns in call_times(taken, "patch:a").values()] == [100] * 4
    slept = [dataclasses.replace(one, cpu_bound=False, wait_ns=10 * MS) for one in taken]
    assert [round(ns / MS) for ns in call_times(slept, "patch:a").values()] == [150] * 4
    # What base never lost in the same rounds is strange.
    base = [sample("base", n) for n in range(4)]
    patch = [one for one in taken if one.arm == "patch:a"]
    assert clock_flags(base + patch, "patch:a") == ["clocks_disagree"]
