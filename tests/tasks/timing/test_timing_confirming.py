"""A success that needs other patches beside it is none. Recorded samples: nothing here is timed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from configs.models import TimingConfig
from tasks.sandbox.models import Limits
from tasks.timing.clocks import call_times
from tasks.timing.confirming import NOT_CONFIRMED, Confirmation, confirm
from tasks.timing.models import ArmState, Question, Sample, SessionState
from tasks.timing.processes import SessionContext
from tasks.timing.protocols.interleaved import Runner
from tasks.timing.round_plan import RoundPlan
from tasks.timing.rows import WORK_UNACCOUNTED, Report
from tasks.timing.stats import Interval
from tasks.timing.verdict import Compared

MS = 1_000_000
AGAINST_BASE = Question(arm="patch:a", against="base", threshold=1.2)
AGAINST_HUMAN = Question(arm="patch:a", against="human", threshold=0.95)


def sample(arm: str, turn: int, ms: float) -> Sample:
    wall = round(ms * MS)
    return Sample(
        arm=arm, process=0, round=turn, order=0, seed=turn, number=1, wall_ns=wall, cpu_ns=wall, wait_ns=0,
        outside_ns=wall + 50_000, setup_ns=0, correct=True, warmup=False, started_at=datetime(2024, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def context() -> SessionContext:
    arms = {name: cast("Any", SimpleNamespace(name=name)) for name in ("base", "human", "patch:a", "patch:b")}
    return SessionContext(cast("Any", None), Path(), arms, "", "isobench", TimingConfig(max_rounds=30), Limits())


def playing(patch_ms: Callable[[int], float], seen: list[SessionContext]) -> Any:
    """A protocol that has recorded what base (30 ms), human (10 ms) and the patch take."""

    def play(found: SessionContext, cores: tuple[int, ...], needed: Any) -> SessionState:
        seen.append(found)
        state = SessionState(states={name: ArmState(name) for name in found.arms})
        for turn in range(found.timing.max_rounds):
            state.samples += [sample("base", turn, 30 + turn % 2), sample("human", turn, 10 + (turn % 2) / 3)]
            state.samples.append(sample("patch:a", turn, patch_ms(turn)))
            if turn + 1 >= found.timing.min_rounds and not needed(state, 0.95):
                break
        return state

    return play


def test_a_success_is_timed_again_with_nobody_but_base_and_human_and_holds_after_a_few_rounds():
    seen: list[SessionContext] = []
    found = confirm(
        playing(lambda turn: 10 + (turn % 2) / 3, seen),
        context(),
        (0,),
        SessionState(states={}),
        [AGAINST_BASE, AGAINST_HUMAN],
        None,
    )
    assert list(seen[0].arms) == ["base", "human", "patch:a"]
    assert found.verdicts == {AGAINST_BASE: "yes", AGAINST_HUMAN: "yes"}
    assert found.ratios[AGAINST_BASE] == pytest.approx(3, rel=0.02)
    assert len({s.round for s in found.state.samples}) == 3


def test_who_read_the_result_from_another_arm_is_found_out():
    found = confirm(
        playing(lambda turn: 30 + turn % 2, []),
        context(),
        (0,),
        SessionState(states={}),
        [AGAINST_BASE, AGAINST_HUMAN],
        None,
    )
    assert found.verdicts == {AGAINST_BASE: "no", AGAINST_HUMAN: "no"}


def test_rounds_go_on_where_the_estimate_does_not_reach_the_threshold():
    """1.17 and 1.21 times as fast in turn: neither confirmed nor refuted by any number of rounds here."""
    found = confirm(playing(lambda turn: 25.6, []), context(), (0,), SessionState(states={}), [AGAINST_BASE], None)
    assert found.verdicts[AGAINST_BASE] != "yes"
    assert len({s.round for s in found.state.samples}) > 3


def row(compared: Compared, flags: list[str], confirmation: Confirmation | None = None) -> Any:
    state = SessionState(states={name: ArmState(name) for name in ("base", "human", "patch:a")})
    state.samples = [
        sample(arm, turn, ms) for turn in range(4) for arm, ms in (("base", 30), ("human", 10), ("patch:a", 10))
    ]
    report = Report("s", "t", "o/r", None, "m", call_times)
    return report.comparison(state, AGAINST_BASE, compared, "yes", flags, 0.95, confirmation)


FAST = Compared(Interval(3, 2.9, 3.1, 4, 1), Interval(3, 2.9, 3.1, 4, 1))


def test_the_row_of_a_success_that_was_not_confirmed_says_so():
    refuted = Confirmation(SessionState(states={}), {AGAINST_BASE: "no"}, {AGAINST_BASE: 1.0})
    found = row(FAST, [], refuted)
    assert (found.verdict, found.flags, found.confirmed_ratio) == ("no", [NOT_CONFIRMED], 1.0)
    held = Confirmation(SessionState(states={}), {AGAINST_BASE: "yes"}, {AGAINST_BASE: 2.8})
    assert (row(FAST, [], held).verdict, row(FAST, [], held).confirmed_ratio) == ("yes", 2.8)


def test_no_success_rests_on_a_meter_that_may_have_missed_something():
    assert row(FAST, ["unmetered"]).verdict == "inconclusive"


def test_an_arm_whose_calls_alone_are_fast_enough_says_so():
    state = SessionState(states={name: ArmState(name) for name in ("base", "patch:a")})
    charged = Compared(Interval(1.1, 1.0, 1.3, 4, 1), Interval(3, 2.9, 3.1, 4, 1))
    found = Report("s", "t", "o/r", None, "m", call_times).comparison(
        state, AGAINST_BASE, charged, "inconclusive", [], 0.95
    )
    assert found.flags == [WORK_UNACCOUNTED]
    assert (found.ratio, found.calls_ratio) == (1.1, 3)


@pytest.mark.parametrize(
    ("before", "hashed"),
    [(None, True), (SessionState(states={}), False), (SessionState(states={}, inputs_alike=False), True)],
    ids=["nothing is known", "known to be alike", "known to differ"],
)
def test_inputs_are_hashed_before_the_first_call_only_where_nothing_is_known_of_them(
    before: SessionState | None, hashed: bool, monkeypatch: pytest.MonkeyPatch
):
    """A confirmation comes after a session that has looked: it begins without that hashing, which takes long."""
    round_plans: list[RoundPlan] = []
    monkeypatch.setitem(
        Runner.play.__globals__, "play", lambda used, state, round_plan, *_: round_plans.append(round_plan)
    )
    monkeypatch.setattr(Runner, "_groups", lambda self, _: [(None, ["base", "human"])])
    state = SessionState(states={name: ArmState(name) for name in ("base", "human")})
    runner = Runner(replace(context(), like=before), state, (0,), cast("Any", None), deadline=1e12)
    for _ in range(2):
        runner.play(cast("Any", None))
    assert [round_plan.before for round_plan in round_plans] == [hashed, False]
    assert round_plans[0].keeps is (before is None)  # a workload that ignores its seed is known, too
