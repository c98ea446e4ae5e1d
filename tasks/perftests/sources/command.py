"""Source `command`: workloads that are commands, from the configuration, with gates of their own.

| gate | a command fails if | where |
|---|---|---|
| `parses` | it is no valid command (`perf_tests.commands` is checked when the file is read) | outside |
| `base_runs` | the server does not get ready, or the client fails, dies or hangs | base |
| `metrics` | the output is no result, is cut off, or lacks a metric of interest | base |
| `duration` | the client takes longer than `max_duration_s` | base |
| `human_runs` | server, client or output fail | human |
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from configs.models import CommandConfig, PerfTestConfig
from tasks.perftests.gates import Bench, GateFailed
from tasks.perftests.models import Proposal, Verdict
from tasks.sandbox.commands.asking import CommandError
from tasks.sandbox.commands.parsing import OutputError
from tasks.sandbox.commands.session import CommandSession, metrics_of, parse_spec
from tasks.sandbox.models import Arm

SEED = 20_240_229


def from_commands(commands: Sequence[CommandConfig], sha: str, apis: Sequence[str]) -> list[Proposal]:
    """Proposals of the commands that are for this commit."""
    chosen = [one for one in commands if not one.commits or any(sha.startswith(prefix) for prefix in one.commits)]
    api = apis[0] if apis else ""
    return [
        Proposal(one.name, api, spec_text(one), source="command", dialect="command", results_compared=bool(one.equal))
        for one in chosen
    ]


def spec_text(command: CommandConfig) -> str:
    """The command as the text of a perf test: JSON of the options that were set, in a fixed order."""
    return json.dumps(command.model_dump(mode="json", exclude_defaults=True, exclude={"commits"}), sort_keys=True)


def run_command_gates(proposal: Proposal, bench: Bench, config: PerfTestConfig) -> Verdict:
    """Put a command through its gates. Raises SandboxError if the sandbox itself fails."""
    duration_s: float | None = None
    try:
        try:
            spec = parse_spec(proposal.script)
        except ValueError as error:
            raise GateFailed("parses", str(error)) from None
        duration_s = _run(bench, bench.base, spec, "base_runs", "metrics")
        if duration_s > config.max_duration_s:
            limit = config.max_duration_s
            raise GateFailed(
                "duration", f"the command takes {duration_s:.3g} s on base, at most {limit:g} s are allowed"
            )
        _run(bench, bench.human, spec, "human_runs", "human_runs")
    except GateFailed as failed:
        return Verdict(failed.gate, failed.detail, base_duration_s=duration_s)
    return Verdict(base_duration_s=duration_s)


def _run(bench: Bench, arm: Arm, spec: CommandConfig, running: str, reading: str) -> float:
    """Seconds of one client run."""
    try:
        with CommandSession(bench.sandbox, arm, bench.base, bench.work, spec, limits=bench.limits) as session:
            session.start_server()
            ran = session.run_client(SEED)
        metrics_of(spec, ran.output)
    except CommandError as error:
        raise GateFailed(running, str(error)) from None
    except OutputError as error:
        raise GateFailed(reading, f"output: {error}") from None
    return ran.wall_ns / 1e9
