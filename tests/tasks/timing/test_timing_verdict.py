"""Verdicts from recorded samples: nothing here is timed."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tasks.timing.clocks import clock_flags
from tasks.timing.models import ArmState, Sample, SessionState
from tasks.timing.stats import Interval
from tasks.timing.verdict import compare, log_ratios, point_verdict, questions_for, verdict_at

MS = 1_000_000


def sample(arm: str, turn: int, wall_ms: float, **more) -> Sample:
    wall = round(wall_ms * MS)
    values = {
        "process": turn // 4, "order": 0, "seed": turn, "number": 1, "cpu_ns": wall, "wait_ns": 0,
        "outside_ns": wall + 50_000, "setup_ns": MS, "correct": True, "warmup": False,
        "started_at": datetime(2024, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Sample(arm=arm, round=turn, wall_ns=wall, **{**values, **more})


def state(samples: list[Sample]) -> SessionState:
    return SessionState(states={name: ArmState(name) for name in {s.arm for s in samples}}, samples=samples)


def rounds(base_ms: float = 50, arm_ms: float = 25, count: int = 12, **more) -> list[Sample]:
    rng = np.random.default_rng(5)
    noise = rng.normal(1, 0.01, count)
    samples = [sample("base", n, base_ms * noise[n]) for n in range(count)]
    return samples + [sample("human", n, arm_ms * noise[n] * rng.normal(1, 0.005), **more) for n in range(count)]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1.2, 1.4, "yes"), (1.19, 1.4, "inconclusive"), (1.0, 1.19, "no"), (1.1, 1.2, "inconclusive")],
)  # fmt: skip
def test_the_whole_interval_decides(low, high, verdict):
    assert verdict_at(Interval(1.25, low, high, 9, 3), 1.2) == verdict
    assert point_verdict(Interval(1.25, low, high, 9, 3), 1.2) == "yes"
    assert point_verdict(Interval(1.19, low, high, 9, 3), 1.2) == "no"


def test_nothing_timed_is_inconclusive():
    assert verdict_at(None, 1.2) == point_verdict(None, 1.2) == "inconclusive"
    assert compare(state([sample("base", 0, 1), sample("human", 0, 1)]), "human", "base", 0.95, "interleaved") is None


def test_questions_of_a_session():
    asked = questions_for(["base", "human", "patch:a"], 1.2, 0.95)
    assert [(q.arm, q.against, q.threshold) for q in asked] == [
        ("human", "base", 1.2), ("patch:a", "base", 1.2), ("patch:a", "human", 0.95),
    ]  # fmt: skip
    assert [(q.arm, q.against) for q in questions_for(["base", "patch:a"], 1.2, 0.95)] == [("patch:a", "base")]


def test_rounds_are_paired_and_shared_noise_cancels():
    samples = rounds()
    found = compare(state(samples), "human", "base", 0.95, "interleaved")
    assert found is not None
    found = found.found
    assert found.ratio == pytest.approx(2.0, rel=0.01)
    assert (found.n_rounds, found.n_sets) == (12, 3)
    assert [len(part) for part in log_ratios(samples, "human", "base")] == [4, 4, 4]


def test_warm_up_and_incorrect_rounds_do_not_count():
    samples = [*rounds(), sample("base", 90, 50, warmup=True), sample("human", 90, 500, warmup=True)]
    samples += [sample("base", 91, 50), sample("human", 91, 500, correct=False)]
    found = compare(state(samples), "human", "base", 0.95, "interleaved")
    assert found is not None
    found = found.found
    assert found.n_rounds == 12


def test_batches_are_compared_per_call():
    samples = [sample("base", n, 40, number=4) for n in range(8)] + [sample("human", n, 10, number=2) for n in range(8)]
    found = compare(state(samples), "human", "base", 0.95, "interleaved")
    assert found is not None
    found = found.found
    assert found.ratio == pytest.approx(2.0)


def test_time_given_to_other_programs_is_left_out():
    samples = [sample("base", n, 50 + 3 * n, wait_ns=3 * n * MS) for n in range(8)]
    samples += [sample("human", n, 25 + n, wait_ns=n * MS) for n in range(8)]
    found = compare(state(samples), "human", "base", 0.95, "interleaved")
    assert found is not None
    found = found.found
    assert found.ratio == pytest.approx(2.0)


def test_honest_clocks_are_not_flagged():
    assert clock_flags(rounds(), "human") == []
    assert clock_flags(rounds(), "base") == []
    assert clock_flags(rounds(arm_ms=5, outside_ns=25 * MS)[:13], "human") == []  # one common round says nothing


def test_a_probe_that_reports_less_than_the_driver_saw_is_flagged_and_the_driver_believed():
    """The arm says 5 ms, the driver saw 25 ms: the ratio is 2, not 10."""
    samples = rounds(arm_ms=5, outside_ns=25 * MS)
    assert clock_flags(samples, "human") == ["late_answers"]
    found = compare(state(samples), "human", "base", 0.95, "interleaved")
    assert found is not None
    found = found.found
    assert found.ratio == pytest.approx(2.0, rel=0.05)


def test_a_claimed_wait_earns_little():
    """On a calm machine an arm claims to have waited for 80 % of its time; it is no faster than base."""
    samples = rounds(arm_ms=50, wait_ns=40 * MS)
    assert clock_flags(samples, "human") == ["clocks_disagree"]
    found = compare(state(samples), "human", "base", 0.95, "interleaved")
    assert found is not None
    found = found.found
    assert 1.0 <= found.ratio < 1.1


def test_more_time_inside_than_outside_is_impossible():
    assert clock_flags(rounds(outside_ns=1 * MS), "human") == ["clocks_disagree"]


def test_an_arm_that_claims_to_have_waited_is_flagged():
    assert clock_flags(rounds(wait_ns=20 * MS), "human") == ["clocks_disagree"]


def test_both_may_wait_on_a_busy_machine():
    samples = [sample("base", n, 80, wait_ns=30 * MS) for n in range(6)]
    samples += [sample("human", n, 50, wait_ns=25 * MS) for n in range(6)]
    assert clock_flags(samples, "human") == []


def test_noise_around_honest_clocks_and_setups_is_not_flagged():
    """On a busy machine the pipe, the wait and setup vary by more than any tolerance, in both arms alike."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        samples = []
        for name, wall_ms in (("base", 50), ("human", 2.5)):
            for turn in range(8):
                wall = wall_ms * rng.lognormal(0, 0.2)
                outside = round((wall + 0.3 + rng.exponential(0.5)) * MS)
                wait = round(rng.uniform(0, 0.5) * wall * MS)
                setup = round(rng.lognormal(3, 0.5) * MS)
                samples.append(sample(name, turn, wall, outside_ns=outside, wait_ns=wait, setup_ns=setup))
        assert clock_flags(samples, "human") == []


def test_sequential_compares_means():
    samples = [sample("base", n, ms) for n, ms in enumerate([10, 20, 30])] + [sample("human", n, 10) for n in range(3)]
    found = compare(state(samples), "human", "base", 0.95, "sequential")
    assert found is not None
    found = found.found
    assert found.ratio == pytest.approx(2.0)


def test_arms_that_were_each_paired_with_base_are_compared_through_it():
    """Base's speed differs from pair to pair; the patch is always 1.25 times as fast as human."""
    rng = np.random.default_rng(4)
    samples = []
    for turn in range(12):
        for number, (name, ms) in enumerate((("human", 50), ("patch:a", 40))):
            speed = rng.uniform(0.5, 2)
            place = {"process": turn // 4}
            samples += [sample("base", 2 * turn + number, 100 * speed, **place)]
            samples += [sample(name, 2 * turn + number, ms * speed, **place)]
    found = compare(state(samples), "patch:a", "human", 0.95, "duet")
    assert found is not None
    found = found.found
    assert found.ratio == pytest.approx(1.25)
    assert (found.n_rounds, found.n_sets) == (6, 3)


def test_a_duet_on_cores_of_different_speed_is_fair():
    """One core is 20 % faster, and the arms swap; the arm is 1.1 times as fast."""
    samples = []
    for turn in range(12):
        fast, slow = (1.0, 1.2) if turn % 2 else (1.2, 1.0)
        samples += [sample("base", turn, 110 * fast), sample("human", turn, 100 * slow)]
    found = compare(state(samples), "human", "base", 0.95, "duet")
    assert found is not None
    found = found.found
    assert found.ratio == pytest.approx(1.1)
