"""Sessions of command workloads: a real server and client per arm and round; what is measured decides."""

from pathlib import Path

import pytest

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from storage.tables import Comparison, Measurement, Metric, MetricComparison, TimedSession
from tasks.perftests.sources.command import spec_text
from tasks.timing.models import Session
from tasks.timing.session import run_session
from tests.tasks.sandbox.commands.workload import FAST, SLOW, alone, arm, files, spec

pytestmark = pytest.mark.quiet

QUICK = TimingConfig(min_rounds=4, max_rounds=4, processes=2, budget_s=120, seed=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def session(store: Store, arms: dict[str, dict[str, str]], timing: TimingConfig = QUICK, **changes) -> Session:
    return run_session(
        repo="a/b",
        instance_id=None,
        arms=[arm(store.work, name, content) for name, content in arms.items()],
        test_id="t",
        script=spec_text(spec(**{"equal": ["checksum"], **changes})),
        dialect="command",
        timing=timing,
        scoring=ScoringConfig(),
        sandbox=SandboxConfig(),
        store=store,
    )


def test_the_faster_server_wins_by_every_metric_whichever_way_it_points(store):
    found = session(store, {"base": files(SLOW), "human": files(FAST)})
    assert found.outcome_of("human").verdict == "yes", found.outcome_of("human").describe()
    assert (found.protocol, found.n_rounds, found.base_failure) == ("commands", 4, "")
    (row,) = store.rows(Comparison)
    assert (row.metric, row.status, row.verdict, row.flags) == (
        "output_throughput",
        "ok",
        "yes",
        [],
    )
    assert row.ratio > 1.5
    by_metric = {one.metric: one for one in store.rows(MetricComparison)}
    assert {"output_throughput", "request_throughput", "mean_ttft_ms", "p99_itl_ms", "median_tpot_ms"} <= set(by_metric)
    assert [name for name, one in by_metric.items() if one.primary] == ["output_throughput"]
    assert by_metric["output_throughput"].ratio == pytest.approx(row.ratio)
    for name, one in by_metric.items():
        assert one.better == ("higher" if "throughput" in name else "lower")
        if "p99" in name:
            continue  # one stall of a busy machine decides it
        assert one.ratio > 1, name
        assert (one.value > one.against_value) == (one.better == "higher")
    values = store.rows(Metric, metric="completed")
    assert {(one.arm, one.round) for one in values} == {(name, n) for name in ("base", "human") for n in range(4)}
    assert {one.value for one in values} == {6.0}
    measured = store.rows(Measurement)
    assert len(measured) == 8
    for number in range(4):
        mine = [one for one in measured if one.round == number]
        assert len({one.seed for one in mine}) == 1
        assert sorted(one.order for one in mine) == [0, 1]
    assert store.rows(TimedSession)[0].protocol == "commands"


@pytest.mark.thorough  # a push times servers that are started for each round
def test_servers_can_be_kept_for_a_set_of_rounds(store):
    found = session(store, {"base": files(SLOW), "human": files(FAST)}, server_per="set", warmups=1, equal=[])
    assert found.outcome_of("human").verdict == "yes"
    assert store.rows(Comparison)[0].flags == ["results_not_compared"]  # a word about speed alone
    assert len({one.process for one in store.rows(Measurement)}) in (2, 3)


def test_an_arm_that_fails_cheats_or_does_less_drops_out_and_the_others_go_on(store):
    lazy = files(FAST)
    lazy["serve/server.py"] = lazy["serve/server.py"].replace("range(int(count))", "range(int(count) - 2)")
    forged = files(SLOW)
    forged["serve/client.py"] = files(FAST)["serve/client.py"].replace('tokens", generated)', 'tokens", 10**9)')
    broken = files(FAST) | {"serve/model.py": "raise ImportError('no model')\n"}
    wrong = files(FAST) | {"serve/model.py": "def token(seed):\n    return seed\n"}
    arms = {
        "base": files(SLOW), "human": files(FAST), "patch:lazy": lazy, "patch:broken": broken, "patch:forged": forged,
        "patch:wrong": wrong,
    }  # fmt: skip
    timing = QUICK.model_copy(update={"min_rounds": 3, "max_rounds": 3})
    found = session(store, arms, timing)
    statuses = {outcome.arm: outcome.status for outcome in found.outcomes}
    assert statuses == {
        "base": "ok", "human": "ok", "patch:lazy": "incorrect", "patch:broken": "error", "patch:forged": "ok",
        "patch:wrong": "incorrect",
    }  # fmt: skip
    assert "checksum: " in found.outcome_of("patch:wrong").reason
    assert "output_tokens: 18, base has 30" in found.outcome_of("patch:lazy").reason
    assert "no model" in found.outcome_of("patch:broken").reason
    rows = {row.arm: row for row in store.rows(Comparison, against="base")}
    assert rows["patch:forged"].verdict != "yes"  # its own client is not asked
    assert (rows["patch:broken"].ratio, rows["patch:broken"].verdict) == (None, "no")


def test_what_an_arm_says_of_itself_needs_the_drivers_clock_beside_it(store):
    arms = {"base": alone(6 * SLOW), "patch:honest": alone(FAST), "patch:boast": alone(6 * SLOW, boast=10**5)}
    found = session(
        store, arms, server=None, ready=None, command="python3 -m serve.alone {seed}", parser="json",
        metrics=["took_s"], better={"took_s": "lower"},
    )  # fmt: skip
    honest, boast = (found.outcome_of(name) for name in ("patch:honest", "patch:boast"))
    assert (honest.verdict, honest.flags) == ("yes", []), honest.describe()
    assert boast.answers[0].ratio > 1000
    assert boast.verdict == "inconclusive"
    assert [row.flags for row in store.rows(Comparison, arm="patch:boast")] == [["claim_unconfirmed"]]


def test_a_base_that_does_not_serve_says_nothing_about_others(store):
    found = session(store, {"base": files(SLOW), "human": files(FAST)}, command="echo nothing of use")
    assert "no 'Serving Benchmark Result'" in found.base_failure
    assert store.rows(Comparison)[0].flags == ["base_failed"]
    bad = run_session(
        "a/b", None, [arm(store.work, name, {}) for name in ("base", "human")], "t", "{}", "command", QUICK,
        ScoringConfig(), SandboxConfig(), store,
    )  # fmt: skip
    assert "Field required" in bad.base_failure
