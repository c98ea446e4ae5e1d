"""Where an arm's time goes beside its calls: flagged when it goes there instead, and never by noise."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tasks.timing.clocks import clock_flags, doubtful
from tasks.timing.models import Sample

MS = 1_000_000


def sample(arm: str, turn: int, cpu_ms: float, **more: float) -> Sample:
    """`more` in milliseconds."""
    wall = round(cpu_ms * MS)
    times = {"setup_ns": 10.0, "digest_ns": 1.0, "result_ns": 0.0, "idle_ns": 0.0, **more}
    return Sample(
        arm=arm, process=turn // 4, round=turn, order=0, seed=turn, number=1, wall_ns=wall, cpu_ns=wall, wait_ns=0,
        outside_ns=wall + 50_000, correct=True, warmup=False, started_at=datetime(2024, 1, 1, tzinfo=UTC),
        **{name: round(value * MS) for name, value in times.items()},
    )  # fmt: skip


def samples(count: int, arm_ms: float = 5, base: dict[str, float] | None = None, **more: float) -> list[Sample]:
    found = [sample("base", turn, 25, **(base or {})) for turn in range(count)]
    return found + [sample("patch:a", turn, arm_ms, **more) for turn in range(count)]


@pytest.mark.parametrize("count", [2, 3, 6, 20])
@pytest.mark.parametrize(
    ("where", "flag"),
    [("setup_ns", "work_in_setup"), ("digest_ns", "work_after_call"), ("idle_ns", "work_after_call")],
)
def test_what_is_saved_in_the_call_and_spent_elsewhere_is_flagged_after_any_number_of_rounds(count, where, flag):
    assert clock_flags(samples(count, **{where: 28}), "patch:a") == [flag]
    assert clock_flags(samples(count, **{where: 28}), "base") == []


def test_one_round_says_nothing():
    assert clock_flags(samples(1, setup_ns=28), "patch:a") == []


def test_less_than_half_of_what_is_saved_may_be_spent_elsewhere():
    """A result that takes longer to hash, a setup that builds an index: 4 ms of 20."""
    assert clock_flags(samples(8, setup_ns=14, digest_ns=5), "patch:a") == []


def test_a_result_that_travels_is_compared_with_bases_that_travels_too():
    assert clock_flags(samples(8, result_ns=28), "patch:a") == []  # base's did not
    assert clock_flags(samples(8, result_ns=28, base={"result_ns": 27}), "patch:a") == []
    assert clock_flags(samples(8, result_ns=28, base={"result_ns": 1}), "patch:a") == ["work_after_call"]


def test_who_works_between_calls_is_flagged_whatever_it_saves():
    assert clock_flags(samples(8, arm_ms=26, idle_ns=10), "patch:a") == ["work_after_call"]
    assert clock_flags(samples(8, arm_ms=26, idle_ns=0.2), "patch:a") == []


def test_single_disturbed_rounds_neither_hide_nor_make_a_flag():
    hidden = samples(8, setup_ns=28)
    hidden[3] = sample("base", 3, 25, setup_ns=60)
    assert clock_flags(hidden, "patch:a") == ["work_in_setup"]
    honest = samples(8)
    honest[12] = sample("patch:a", 4, 5, setup_ns=60, digest_ns=30, idle_ns=30)
    assert clock_flags(honest, "patch:a") == []


@pytest.mark.parametrize("count", [3, 6, 8, 30])
def test_noise_of_honest_arms_is_not_flagged(count):
    """Setups forty times as long as what a patch saves, 10 % noise, and 1 % that differs between processes."""
    rng = np.random.default_rng(count)
    flagged = 0
    for _ in range(100):
        found = []
        for arm, cpu_ms in (("base", 5.0), ("patch:a", 2.0)):
            sets = rng.normal(1, 0.01, 12)
            for turn in range(count):
                setup = 120 * sets[turn // 4] * rng.lognormal(0, 0.1)
                digest, idle = rng.exponential(1), rng.exponential(0.1)
                found.append(
                    sample(arm, turn, cpu_ms * rng.lognormal(0, 0.1), setup_ns=setup, digest_ns=digest, idle_ns=idle)
                )
        flagged += clock_flags(found, "patch:a") != []
    assert flagged <= (2 if count >= 6 else 5)


def test_an_arm_is_in_doubt_until_it_is_flagged_or_cleared():
    """On a core that changes its speed by a factor of two, part of the rounds hide what moved."""
    moved = [sample("base", turn, cpu, setup_ns=cpu / 2) for turn, cpu in enumerate([27, 42, 44, 49, 51, 50])]
    hidden = [sample("patch:a", turn, 0.3, setup_ns=ms) for turn, ms in enumerate([34, 31, 34, 73, 76, 75])]
    assert clock_flags(moved + hidden, "patch:a") == []
    assert doubtful(moved + hidden, "patch:a")
    honest = [sample("patch:a", turn, 5, setup_ns=ms) for turn, ms in enumerate([15, 21, 13, 24, 26, 25])]
    assert not doubtful(moved + honest, "patch:a")


def test_who_is_flagged_saves_nothing_or_is_base_is_not_in_doubt_and_one_round_clears_nobody():
    assert not doubtful(samples(8, setup_ns=28), "patch:a")
    assert not doubtful(samples(8, arm_ms=25), "patch:a")
    assert not doubtful(samples(8), "base")
    assert not doubtful(samples(8), "patch:a")
    assert doubtful(samples(1), "patch:a")


def test_halves_that_move_to_both_sides_of_the_call_stay_in_doubt():
    split = samples(8, setup_ns=19, digest_ns=10)
    assert clock_flags(split, "patch:a") == []
    assert doubtful(split, "patch:a")


@pytest.mark.parametrize("count", [6, 30])
def test_work_that_moved_whole_is_hardly_ever_cleared_and_honest_work_mostly_is(count):
    rng = np.random.default_rng(count)
    cleared = {True: 0, False: 0}
    for moved in cleared:
        for _ in range(200):
            found = []
            for arm, cpu_ms, more in (("base", 25.0, 0.0), ("patch:a", 5.0, 20.0 * moved)):
                for turn in range(count):
                    speed = rng.choice([1, 2])
                    found.append(sample(arm, turn, cpu_ms * speed, setup_ns=(20 + more) * speed))
            cleared[moved] += not doubtful(found, "patch:a") and not clock_flags(found, "patch:a")
    assert cleared[True] <= 10
    assert cleared[False] >= (40 if count == 6 else 150)
