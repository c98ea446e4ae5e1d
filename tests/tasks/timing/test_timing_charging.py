"""Charges from recorded samples: moved work is as slow where it went. Nothing here is timed."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tasks.timing.charging import charge_of, charged_times, charges, due_times
from tasks.timing.models import ArmState, Sample, SessionState
from tasks.timing.verdict import compare, verdict_at

MS = 1_000_000


def sample(arm: str, turn: int, cpu_ms: float, *, warmup: bool = False, **more: float) -> Sample:
    """`more` in milliseconds, counts as they are."""
    wall = round(cpu_ms * MS)
    counts = {name: more.pop(name, 1) for name in ("number", "setups", "hashed")}
    process = more.pop("process", turn // 4)
    times = {"setup_ns": 10.0, "digest_ns": 1.0, "result_ns": 0.0, "idle_ns": 0.0, "load_ns": 30.0, **more}
    return Sample(
        arm=arm, process=process, round=turn, order=0, seed=turn, wall_ns=wall, cpu_ns=wall, wait_ns=0,
        outside_ns=wall + 50_000, correct=True, warmup=warmup, started_at=datetime(2024, 1, 1, tzinfo=UTC),
        **counts, **{name: round(value * MS) for name, value in times.items()},
    )  # fmt: skip


def samples(count: int, arm_ms: float = 5, base: dict[str, float] | None = None, **more: float) -> list[Sample]:
    found = [sample("base", turn, 25, **(base or {})) for turn in range(count)]
    return found + [sample("patch:a", turn, arm_ms, **more) for turn in range(count)]


def state(found: list[Sample]) -> SessionState:
    return SessionState(states={name: ArmState(name) for name in {s.arm for s in found}}, samples=found)


def ratio(found: list[Sample], against: str = "base", arm: str = "patch:a") -> float:
    compared = compare(state(found), arm, against, 0.95, "interleaved")
    assert compared is not None
    return compared.found.ratio


@pytest.mark.parametrize("where", ["setup_ns", "digest_ns", "idle_ns"])
@pytest.mark.parametrize("share", [0.1, 0.42, 1.0])
def test_a_moved_share_of_the_work_is_as_slow_where_it_went(where, share):
    """5 of base's 25 ms are honest; a share of the other 20 goes elsewhere."""
    usual = {"setup_ns": 10.0, "digest_ns": 1.0, "idle_ns": 0.0}[where]
    found = samples(12, **{where: usual + 20 * share})
    assert ratio(found) == pytest.approx(25 / (5 + 20 * share))
    charge = charge_of(found, "patch:a", 0.95)
    assert charge is not None
    assert charge.ns == pytest.approx(20 * share * MS)


def test_parts_in_several_places_are_added():
    found = samples(12, setup_ns=10 + 7, digest_ns=1 + 7, idle_ns=6)
    assert ratio(found) == pytest.approx(1.0)


def test_a_charge_is_never_a_credit():
    """The patch makes setup and loading faster, and nothing else."""
    found = samples(12, arm_ms=25, setup_ns=2, load_ns=3)
    assert ratio(found) == pytest.approx(1.0)
    assert charge_of(found, "patch:a", 0.95).ns == 0
    assert set(due_times(found, "patch:a").values()) == {25 * MS}


@pytest.mark.parametrize("cheating", [4, 7, 10])
def test_who_moves_work_in_some_rounds_only_is_as_slow_in_all_of_them(cheating):
    """Three quarters of the rounds, or half of what is saved: there is no share below which it is free."""
    found = [sample("base", turn, 25) for turn in range(10)]
    for turn in range(10):
        found.append(
            sample("patch:a", turn, 1, setup_ns=34) if turn < cheating else sample("patch:a", turn, 25, setup_ns=10)
        )
    assert ratio(found) == pytest.approx(1.0)


def test_noise_cancels_and_more_rounds_shrink_the_charge():
    """Setups of equal code that differ by 0.3 % between processes and by 2 % between rounds, six times the call."""
    rng = np.random.default_rng(3)
    widths = []
    for count in (12, 120):
        found = []
        for arm in ("base", "patch:a"):
            sets = rng.normal(1, 0.003, count)
            for turn in range(count):
                call = 10 * rng.normal(1, 0.01) * (1.0 if arm == "base" else 1 / 1.5)
                found.append(sample(arm, turn, call, setup_ns=60 * sets[turn // 4] * rng.normal(1, 0.02)))
        widths.append(charge_of(found, "patch:a", 0.95).high)
        compared = compare(state(found), "patch:a", "base", 0.95, "interleaved")
        assert compared.calls.ratio == pytest.approx(1.5, rel=0.02)
        assert compared.found.low <= compared.calls.low
    assert widths[1] < widths[0] / 2
    assert verdict_at(compared.found, 1.2) == "yes"


def test_the_upper_end_of_the_charge_decides_a_yes():
    """The calls are 1.25 times as fast for sure; what setup took is known to a tenth of a call only."""
    rng = np.random.default_rng(1)
    found = []
    for turn in range(8):
        found.append(sample("base", turn, 25, setup_ns=100 + rng.normal(0, 3)))
        found.append(sample("patch:a", turn, 20, setup_ns=100 + rng.normal(0, 3)))
    compared = compare(state(found), "patch:a", "base", 0.95, "interleaved")
    assert verdict_at(compared.calls, 1.2) == "yes"
    assert verdict_at(compared.found, 1.2) == "inconclusive"


def test_the_fixed_part_of_a_request_is_no_credit_for_larger_batches():
    """Each round costs 0.4 ms between its requests; base makes one call of it, the patch fifteen."""
    found = [sample("base", turn, 25, idle_ns=0.4, setups=15, setup_ns=150) for turn in range(8)]
    found += [sample("patch:a", turn, 25, idle_ns=0.4 + 15, number=15, setups=15, setup_ns=150) for turn in range(8)]
    assert set(charges(found, "patch:a").values()) == {1.0 * MS}


def test_a_result_that_is_not_asked_for_is_charged_like_those_that_are():
    """Lazy results: of fifteen calls three are hashed, and each of those took 20 ms."""
    found = [sample("base", turn, 25 * 15, number=15, setups=15, hashed=3, digest_ns=3) for turn in range(8)]
    found += [sample("patch:a", turn, 5 * 15, number=15, setups=15, hashed=3, digest_ns=63) for turn in range(8)]
    assert ratio(found) == pytest.approx(1.0)


def test_a_result_that_travels_is_compared_with_bases_that_travels_too():
    assert charge_of(samples(8, result_ns=28), "patch:a", 0.95).ns == 0  # base's did not
    assert charge_of(samples(8, result_ns=28, base={"result_ns": 8}), "patch:a", 0.95).ns == pytest.approx(20 * MS)


def test_loading_is_shared_among_as_many_calls_as_base_makes_in_ten_seconds():
    """However many rounds there are: 2 s more to load are 5 ms for each of base's 400 calls of 25 ms."""
    for count in (4, 40):
        found = samples(count, load_ns=2030)
        found += [sample(arm, 1000 + p, ms, warmup=True, process=p, load_ns=load)
                  for p in range(count // 4) for arm, ms, load in (("base", 25, 30), ("patch:a", 5, 2030))]  # fmt: skip
        assert ratio(found) == pytest.approx(25 / (5 + 5))


def test_a_process_whose_first_call_counts_pays_for_its_loading_whole():
    found = [sample("base", turn, 25, process=turn) for turn in range(8)]
    found += [sample("patch:a", turn, 1, process=turn, load_ns=30 + 24) for turn in range(8)]
    assert ratio(found) == pytest.approx(1.0)


def test_what_the_first_call_does_for_later_ones_belongs_to_loading():
    """An index built in the first call, in the warm-up: a second, shared like loading."""
    found = samples(8)
    found += [sample(arm, 1000 + p, ms, warmup=True, process=p)
              for p in range(2) for arm, ms in (("base", 25), ("patch:a", 5 + 1000))]  # fmt: skip
    assert ratio(found) == pytest.approx(25 / (5 + 2.5))


def test_the_human_is_charged_alike():
    """Human and patch both move 10 ms into setup: they are equals, and neither is five times as fast."""
    found = samples(12, setup_ns=20)
    found += [sample("human", turn, 5, setup_ns=20) for turn in range(12)]
    assert ratio(found, arm="human") == pytest.approx(25 / 15)
    assert ratio(found, against="human") == pytest.approx(1.0)


def test_a_call_takes_at_least_its_cpu_time_over_its_cores():
    """A child goes on while the parent waits for its turn: 25 ms of CPU time in a call that says 5 ms."""
    found = [sample("base", turn, 25) for turn in range(8)]
    hidden = [sample("patch:a", turn, 5) for turn in range(8)]
    found += [Sample(**{**vars(s), "cpu_ns": 25 * MS, "cores": 1}) for s in hidden]
    assert ratio(found) == pytest.approx(1.0)
    assert set(charged_times(found, "patch:a").values()) == {25 * MS}


def test_one_round_says_nothing_and_base_is_charged_nothing():
    assert charge_of(samples(1, setup_ns=30), "patch:a", 0.95) is None
    assert set(charges(samples(4), "base").values()) == {0.0}


def test_equal_code_is_never_told_apart():
    """Of 200 comparisons of equal code with noise in all places, none is found 5 % faster or slower."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(200):
        found = []
        for arm in ("base", "patch:a"):
            sets = rng.normal(1, 0.003, 3)
            for turn in range(12):
                level = sets[turn // 4]
                found.append(
                    sample(arm, turn, 20 * rng.normal(level, 0.01), setup_ns=20 * rng.normal(level, 0.01),
                           digest_ns=rng.exponential(0.1), idle_ns=rng.exponential(0.02))
                )  # fmt: skip
        compared = compare(state(found), "patch:a", "base", 0.95, "interleaved")
        wrong += not 0.95 < compared.found.ratio < 1.05
    assert wrong == 0


def test_results_are_freed_at_the_expense_of_the_calls_that_made_them():
    """Base makes one call of a round and the patch fifteen; freeing a result takes 2 ms, an empty request 0.1 ms."""
    found = [sample("base", turn, 25, setups=15, ping_ns=0.1, release_ns=0.1 + 2) for turn in range(8)]
    more = {"number": 15, "setups": 15, "ping_ns": 0.1}
    alike = [sample("patch:a", turn, 5 * 15, release_ns=0.1 + 30, **more) for turn in range(8)]
    assert list(charges([*found, *alike], "patch:a").values()) == pytest.approx([0.0] * 8)
    slow = [sample("patch:a", turn, 5 * 15, release_ns=0.1 + 330, **more) for turn in range(8)]
    assert ratio([*found, *slow]) == pytest.approx(1.0)


def test_what_the_human_saves_in_setup_is_no_purse_for_others():
    """Setup calls what was changed: the human saves 9 of 10 ms there, which the patch spends on its call."""
    found = [sample("base", turn, 10, setup_ns=10) for turn in range(8)]
    found += [sample("human", turn, 1, setup_ns=1) for turn in range(8)]
    found += [sample("patch:a", turn, 0.1, setup_ns=10) for turn in range(8)]
    assert ratio(found, arm="human") == pytest.approx(10)
    assert ratio(found) == pytest.approx(10 / 9.1)


def test_the_humans_noise_in_setup_is_no_purse_either():
    """What the human saves there varies from round to round, with the patch's: they met the same core."""
    found = [sample("base", turn, 10, setup_ns=20) for turn in range(8)]
    found += [sample("human", turn, 1, setup_ns=5 + turn) for turn in range(8)]
    found += [sample("patch:a", turn, 0.1, setup_ns=5 + turn + 3) for turn in range(8)]
    assert ratio(found) == pytest.approx(10 / 3.1)
