"""The gates: what a script must pass before anybody spends time on measuring with it.

| gate | a script fails if | where |
|---|---|---|
| `parses` | it is not Python | outside |
| `functions` | it lacks a function that its dialect requires | outside |
| `base_runs` | import, `setup` or `experiment` raises, dies or hangs, or the result cannot be carried out | base |
| `trivial` | the result is None or empty: nothing to compare | base |
| `deterministic` | the same seed twice on base gives results that its own `check_equivalence` rejects | base |
| `seeds` | two seeds build the same workload, so a cache could answer | base |
| `duration` | one experiment is shorter or longer than the configuration allows | base |
| `coverage` | the experiment (setup does not count) runs none of the changed code | base, or human for new functions |
| `human_runs` | it raises, dies or hangs on the human's code | human |

They run in this order and the first failure is the verdict. One process on base, one that compares, one on human
serve all gates of a script. That the human's *result* differs from base's is no gate: it says that the commit
is wrong, not the script, and timing decides it.

`seeds` is not asked of the `gso` dialect, whose setup takes no seed, nor of the repository's own tests and benchmarks.
"""

from __future__ import annotations

import ast
import time
from dataclasses import dataclass
from pathlib import Path

from configs.models import PerfTestConfig
from tasks.perftests.changed import Targets
from tasks.perftests.models import Proposal, Verdict
from tasks.sandbox.encoding import encode
from tasks.sandbox.models import Arm, Limits, Sandbox
from tasks.sandbox.probing import CheckFailed, ProbeError, ProbeSession
from tasks.syntax import parse

SEED, OTHER_SEED = 20_240_229, 7
REQUIRED = {"isobench": ("setup", "experiment", "check_equivalence"), "gso": ("check_equivalence",)}
_EMPTY_VALUES: tuple[object, ...] = (None, "", b"", [], (), {}, set(), frozenset())
EMPTY = tuple(encode(value) for value in _EMPTY_VALUES)


class GateFailed(Exception):
    """A script did not pass."""

    def __init__(self, gate: str, detail: str) -> None:
        super().__init__(f"{gate}: {detail}")
        self.gate = gate
        self.detail = detail


@dataclass(frozen=True)
class Bench:
    """What a script is tried on."""

    sandbox: Sandbox
    work: Path
    """`Store.work`."""
    base: Arm
    human: Arm
    targets: Targets
    limits: Limits


def judge(proposal: Proposal, bench: Bench, config: PerfTestConfig) -> Verdict:
    """Put a script through all gates. Raises SandboxError if the sandbox itself fails."""
    covered: list[str] = []
    duration_s: float | None = None
    try:
        parses(proposal)
        functions(proposal)
        clock = _Clock(config.gate_timeout_s)
        with _session(bench, bench.base, clock) as base:
            duration_s, first = base_runs(base, proposal, clock)
            if duration_s > config.max_duration_s:
                duration(duration_s, config)  # before it is run again
            trivial(first)
            duration_s = min(duration_s, deterministic(base, bench, proposal, first, clock))
            seeds(base, proposal, clock)
            duration(duration_s, config)
            if bench.targets.arm == "base":
                covered = coverage(base, bench.targets, clock)
        with _session(bench, bench.human, clock) as human:
            human_runs(human, proposal, clock)
            if bench.targets.arm == "human":
                covered = coverage(human, bench.targets, clock)
    except GateFailed as failed:
        return Verdict(failed.gate, failed.detail, covered, duration_s)
    return Verdict(covered=covered, base_duration_s=duration_s)


def parses(proposal: Proposal) -> None:
    """The text is Python."""
    try:
        parse(proposal.script)
    except (SyntaxError, ValueError) as error:
        raise GateFailed("parses", f"{type(error).__name__}: {error}") from None


def functions(proposal: Proposal) -> None:
    """The dialect's functions are defined at the top level."""
    defined = _names_at_top(parse(proposal.script))
    missing = [name for name in REQUIRED[proposal.dialect] if name not in defined]
    if proposal.dialect == "gso" and "run_test" not in defined and not {"setup", "experiment"} <= defined:
        missing.append("run_test (or setup and experiment)")
    if missing:
        raise GateFailed("functions", "the script does not define " + ", ".join(missing))


def base_runs(base: ProbeSession, proposal: Proposal, clock: _Clock) -> tuple[float, bytes]:
    """It runs on base and its result can be carried out. Returns the seconds of one experiment and the result."""
    try:
        base.load(proposal.script, proposal.dialect)
        clock.check("base_runs")
        base.setup(SEED, digest=False)
        clock.check("base_runs")
        return base.run().wall_ns / 1e9, base.result()
    except ProbeError as error:
        raise GateFailed("base_runs", explain(error)) from None


def trivial(result: bytes) -> None:
    """There is something in the result that could be wrong."""
    if result[:1] == b"v" and result[1:] in EMPTY:
        raise GateFailed("trivial", "experiment returns None or something empty: return what was computed")


def deterministic(base: ProbeSession, bench: Bench, proposal: Proposal, first: bytes, clock: _Clock) -> float:
    """The same seed gives an equivalent result, judged by the script in a process that ran nothing.

    Returns the seconds of the second experiment.
    """
    clock.check("deterministic")
    try:
        base.setup(SEED, digest=False)
        timed = base.run()
        second = base.result()
        with _session(bench, bench.base, clock, checker=True) as checker:
            checker.load(proposal.script, proposal.dialect)
            checker.check(first, second)
        return timed.wall_ns / 1e9
    except CheckFailed as error:
        raise GateFailed("deterministic", f"the same seed twice gives results that differ: {error}") from None
    except ProbeError as error:
        raise GateFailed("deterministic", f"the second run with the same seed fails: {explain(error)}") from None


def seeds(base: ProbeSession, proposal: Proposal, clock: _Clock) -> None:
    """Another seed builds another workload: by its state, or where that has no digest, by the result."""
    if proposal.dialect == "gso" or proposal.source in ("pytest", "asv"):
        return
    clock.check("seeds")
    try:
        seen = []
        for seed in (SEED, OTHER_SEED):
            digest = base.setup(seed).digest
            if digest is None:
                base.run()
            seen.append(digest or base.result())
    except ProbeError as error:
        raise GateFailed("seeds", f"seed {OTHER_SEED}: {explain(error)}") from None
    if seen[0] == seen[1]:
        raise GateFailed("seeds", f"setup({SEED}) and setup({OTHER_SEED}) build the same workload: use the seed")


def duration(seconds: float, config: PerfTestConfig) -> None:
    """One experiment is long enough to be measured and short enough to be repeated."""
    low, high = config.min_duration_s, config.max_duration_s
    if seconds < low:
        raise GateFailed(
            "duration",
            f"one experiment takes {seconds * 1e3:.3g} ms on base, at least {low * 1e3:g} ms are needed: make the "
            f"workload about {max(2, round(3 * low / max(seconds, 1e-9)))} times larger",
        )
    if seconds > high:
        raise GateFailed(
            "duration",
            f"one experiment takes {seconds:.3g} s on base, at most {high:g} s are allowed: make the workload about "
            f"{max(2, round(2 * seconds / high))} times smaller",
        )


def coverage(probe: ProbeSession, targets: Targets, clock: _Clock) -> list[str]:
    """The timed call runs changed code. Returns which; empty where nothing that changed can be traced."""
    if not targets.traceable:
        return []
    clock.check("coverage")
    try:
        covered = targets.covered(probe.trace(SEED, with_setup=False))
    except ProbeError as error:
        raise GateFailed("coverage", f"under tracing, {explain(error)}") from None
    if not covered:
        wanted = ", ".join([*targets.functions, *targets.files][:8])
        raise GateFailed("coverage", f"experiment runs none of the changed code: {wanted}")
    return covered


def human_runs(human: ProbeSession, proposal: Proposal, clock: _Clock) -> None:
    """It runs on the human's code too."""
    clock.check("human_runs")
    try:
        human.load(proposal.script, proposal.dialect)
        human.setup(SEED, digest=False)
        human.run()
        human.result()
    except ProbeError as error:
        raise GateFailed("human_runs", explain(error)) from None


def explain(error: ProbeError) -> str:
    """The error with the end of its traceback: the part that helps to repair."""
    tail = "\n".join(error.traceback.strip().splitlines()[-12:])
    return f"{error.message}\n{tail}" if tail and tail not in error.message else error.message


class _Clock:
    """The time that all gates of a script share."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._end = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        return max(0.1, self._end - time.monotonic())

    def check(self, gate: str) -> None:
        if time.monotonic() > self._end:
            raise GateFailed(gate, f"the gates took longer than {self._limit_s:g} s: make the workload smaller")


def _session(bench: Bench, arm: Arm, clock: _Clock, checker: bool = False) -> ProbeSession:
    return ProbeSession(bench.sandbox, arm, bench.work, limits=bench.limits, timeout_s=clock.left_s, checker=checker)


def _names_at_top(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
    return names
