"""The gates in their order: a script must pass all of them before a session spends time on it.

| gate | a script fails if | where |
|---|---|---|
| `parses` | it is not Python | outside |
| `functions` | it lacks a function that its dialect requires | outside |
| `leak` | it uses a function that only the change defines, or repeats 16 tokens in a row that it adds | outside |
| `imports` | it imports a module that the environment lacks | base |
| `network` | it looks up or connects to another machine, or tries to | base |
| `writes` | it changes files outside the working and the temporary folder, or tries to | base |
| `base_runs` | import, `setup` or `experiment` raises, dies or hangs, or the result cannot be carried out | base |
| `trivial` | the result is None, empty, the same for three seeds, or the same if changed functions do nothing | base |
| `deterministic` | the same seed twice on base gives results that its own `check_equivalence` rejects | base |
| `seeds` | two seeds build the same workload, so a cache could answer | base |
| `duration` | one experiment is shorter or longer than the configuration allows | base |
| `check` | `check_equivalence` accepts results that are wrong | comparing process |
| `order` | a seed gives another result if another seed came before it | a second process on base |
| `coverage` | the experiment (setup does not count) runs none of the changed functions | there (new ones: human) |
| `setup` | changed code runs longer in setup than in the experiment | a second process on base |
| `human_runs` | it raises, dies or hangs on the human's code | human |
| `lines` | none of the changed lines runs, neither on base nor on human | both |
| `screen` | human is no faster in any of a few rounds | both |

The first failure is the verdict. No gate compares human's *result* with base's: where they differ the commit is wrong,
not the script, and timing says so. A script with a top-level `SIZE = <whole number>` that is too short or too long is
tried again with another size.

Scripts of the sources `pytest` and `asv` cannot vary their input: the gates `seeds`, `leak`, `setup` and the seeds of
`trivial` skip them. `seeds`, `setup` and the seeds of `trivial` also skip gso scripts, whose setup takes no seed. A
script of these kinds whose result does not depend on the work is accepted, with `results_compared` false
(`telling.py`).
"""

from __future__ import annotations

import re
from dataclasses import replace

from configs.models import PerfTestConfig
from tasks.perftests.coverage import changed_executable, share
from tasks.perftests.gates import behaviour, static
from tasks.perftests.gates.context import Bench, Clock, GateFailed, OutOfTime, once
from tasks.perftests.gates.isolation import alive, setup_work, world
from tasks.perftests.gates.screen import only_when_repeated, screen
from tasks.perftests.gates.telling import tells
from tasks.perftests.models import Evidence, Proposal, Verdict
from tasks.sandbox.probe.session import ProbeSession

RESIZED = 3
"""How often a script's SIZE is changed."""
_SIZE = re.compile(r"^SIZE = ([\d_]+)$", re.MULTILINE)


def run_gates(proposal: Proposal, bench: Bench, config: PerfTestConfig) -> Verdict:
    """Put a script through all gates. Raises SandboxError if the sandbox itself fails."""
    offered = proposal
    for _ in range(1 + RESIZED):
        verdict = _judge(proposal, bench, config)
        resized = _resized(proposal.script, verdict, config) if verdict.gate == "duration" else None
        if resized is None:
            break
        proposal = replace(proposal, script=resized)
    return replace(verdict, script=None if proposal.script == offered.script else proposal.script)


def _judge(proposal: Proposal, bench: Bench, config: PerfTestConfig) -> Verdict:
    seen = Evidence()
    try:
        static.parses(proposal)
        static.functions(proposal)
        static.leak(proposal, bench.patch)
        _run(proposal, bench, config, seen)
    except GateFailed as failed:
        detail = failed.detail
        if isinstance(failed, OutOfTime) and seen.base_duration_s:
            detail += f" (one experiment takes {seen.base_duration_s:.3g} s on base, and many times that under watch)"
        return Verdict(failed.gate, detail, seen.covered, seen.base_duration_s, evidence=seen)
    return Verdict(
        covered=seen.covered, base_duration_s=seen.base_duration_s, evidence=seen, results_compared=seen.tells
    )


def _run(proposal: Proposal, bench: Bench, config: PerfTestConfig, seen: Evidence) -> None:
    """The gates that need processes: one on base, one that compares, one under watch, one on human."""
    clock = Clock(config.gate_timeout_s)
    gone = changed_executable(bench.patch, "base", bench.work / bench.base.checkout, bench.targets.code)
    new = changed_executable(bench.patch, "human", bench.work / bench.human.checkout, bench.targets.code)
    with bench.session(bench.base, clock) as base, bench.session(bench.base, clock, checker=True) as checker:
        first = behaviour.base_runs(base, proposal, clock)
        seen.base_duration_s = first.seconds
        if first.seconds > config.max_duration_s:
            behaviour.duration(first.seconds, config)  # before it is run again
        behaviour.trivial(first.result)
        behaviour.deterministic(base, checker, proposal, first, clock)
        seen.base_duration_s = first.seconds
        behaviour.seeds(base, proposal, first, clock)
        behaviour.duration(first.seconds, config)
        seen.check_rejects = alive(checker, proposal, first, clock)
        checker.load(proposal.script, proposal.dialect)
        on_base = bench.targets.arm == "base"
        traced = bench.targets.traceable and bool(on_base or gone)
        watched = world(bench, proposal, checker, first, traced, clock)
        seen.setup_share = watched.setup_share
        if traced:
            seen.covered = behaviour.coverage(bench.targets, watched.lines) if on_base else []
            seen.line_share_base = share(gone, watched.lines)
        setup_work(watched, proposal)
        seen.tells = tells(base, checker, proposal, first, watched.stubbed, bench)
        with bench.session(bench.human, clock) as human:
            result = behaviour.human_runs(human, proposal, clock)
            if bench.targets.traceable and (not on_base or new):
                lines = _lines_on_human(human, proposal, bench, clock)
                seen.covered = seen.covered if on_base else behaviour.coverage(bench.targets, lines)
                seen.line_share_human = share(new, lines)
            behaviour.changed_lines_run(seen.line_share_base, seen.line_share_human)
            correct = behaviour.same_result(checker, first.result, result)
            seen.screen_speedup = screen(proposal, base, human, first.seconds, correct, config, clock)
    if only_when_repeated(bench, proposal, clock):
        seen.flags.append("faster_only_when_repeated")


def _lines_on_human(human: ProbeSession, proposal: Proposal, bench: Bench, clock: Clock) -> dict[str, list[int]]:
    """Lines that the experiment executes; of the repository's own code in a process that calls it only once."""
    if once(proposal) == proposal.script:
        return behaviour.trace(human, clock)
    with bench.session(bench.human, clock) as fresh:
        behaviour.human_runs(fresh, replace(proposal, script=once(proposal)), clock)
        return behaviour.trace(fresh, clock)


def _resized(script: str, verdict: Verdict, config: PerfTestConfig) -> str | None:
    """The script with a SIZE that should bring its duration into range, or None if it has none to change."""
    found = _SIZE.search(script)
    if found is None or not verdict.base_duration_s or not int(found[1]):
        return None
    size, seconds = int(found[1]), verdict.base_duration_s
    if seconds < config.min_duration_s:
        wanted = round(size * min(100.0, max(2.0, 3 * config.min_duration_s / seconds)))
    else:
        wanted = max(1, round(size / max(2.0, (2 * seconds / config.max_duration_s))))
    if wanted == size:
        return None
    return f"{script[: found.start(1)]}{wanted}{script[found.end(1) :]}"
