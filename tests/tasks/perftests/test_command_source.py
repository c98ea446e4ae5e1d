"""Gates of commands, on a real server at two commits."""

from pathlib import Path

import pytest

from configs.models import PerfTestConfig, SandboxConfig
from storage.exchange.read import dialect_of
from tasks.perftests.gates import Bench
from tasks.perftests.sources.command import from_commands, run_command_gates, spec_text
from tasks.perftests.targets import Targets
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.commands.session import parse_spec
from tests.tasks.sandbox.commands.workload import FAST, arm, files, spec


@pytest.fixture
def bench(tmp_path: Path):
    config = SandboxConfig()
    with open_sandbox(config) as sandbox:
        yield Bench(
            sandbox=sandbox,
            work=tmp_path,
            base=arm(tmp_path, "base", files(FAST)),
            human=arm(tmp_path, "human", files(FAST)),
            targets=Targets(),
            limits=limits_of(config),
        )


def test_a_commit_gets_the_commands_that_are_for_it():
    everywhere, one = spec(name="all"), spec(name="one", commits=["abc1234"])
    found = from_commands([everywhere, one], "abc1234ff", ["lib.f"])
    assert [(p.name, p.api, p.source, p.dialect) for p in found] == [
        ("all", "lib.f", "command", "command"), ("one", "lib.f", "command", "command"),
    ]  # fmt: skip
    assert [p.name for p in from_commands([everywhere, one], "ffff", [])] == ["all"]
    text = spec_text(one)
    assert dialect_of(text) == "command"
    assert parse_spec(text) == one.model_copy(update={"commits": []})


@pytest.mark.parametrize(
    ("changes", "gate", "detail"),
    [
        ({}, None, ""),
        ({"command": "exit 4"}, "base_runs", "ended with code 4"),
        ({"command": "echo hello"}, "metrics", "no 'Serving Benchmark Result'"),
        ({"metrics": ["mean_e2el_ms"]}, "metrics", "no mean_e2el_ms"),
    ],
)
def test_gates(bench, changes, gate, detail):
    (proposal,) = from_commands([spec(**changes)], "abc", [])
    verdict = run_command_gates(proposal, bench, PerfTestConfig())
    assert verdict.gate == gate
    assert detail in verdict.detail
    if gate is None:
        assert verdict.base_duration_s > 0


def test_a_command_that_takes_too_long_or_fails_on_human(bench):
    (proposal,) = from_commands([spec()], "abc", [])
    assert run_command_gates(proposal, bench, PerfTestConfig(max_duration_s=0.001)).gate == "duration"
    (bench.work / bench.human.checkout / "serve/model.py").write_text("raise SystemExit('gone')\n")
    verdict = run_command_gates(proposal, bench, PerfTestConfig())
    assert verdict.gate == "human_runs"
    assert "gone" in verdict.detail
