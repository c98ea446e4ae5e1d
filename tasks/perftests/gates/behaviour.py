"""Gates that run the script on base and on human: it works, repeats itself, follows its seed, hits the change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from configs.models import PerfTestConfig
from tasks.perftests.gates.context import (
    EMPTY,
    OTHER_SEED,
    SEED,
    THIRD_SEED,
    Clock,
    GateFailed,
    explain,
    varies,
)
from tasks.perftests.models import Proposal
from tasks.perftests.targets import Targets
from tasks.sandbox.probe.session import CheckFailed, ProbeError, ProbeSession

_MISSING = re.compile(r"(?:ModuleNotFoundError|ImportError): (.*)")
_NETWORK = re.compile(r"gaierror|Network is unreachable|No route to host|URLError|Name or service not known")
_WRITES = re.compile(r"(?:Read-only file system|PermissionError).*?(?:: '([^']*)')?$", re.MULTILINE)


@dataclass
class First:
    """The outcome of the first run on base."""

    seconds: float
    result: bytes


def base_runs(base: ProbeSession, proposal: Proposal, clock: Clock) -> First:
    """The script runs on base, and its result can leave the sandbox.

    A failure with a plain cause belongs to a gate of its own (`_cause`): `imports`, `network`, `writes`.
    """
    try:
        base.load(proposal.script, proposal.dialect)
        clock.check("base_runs")
        base.setup(SEED, digest=False)
        clock.check("base_runs")
        return First(base.run().wall_ns / 1e9, base.result())
    except ProbeError as error:
        raise _cause(error) from None


def trivial(result: bytes) -> None:
    """The result holds something that could be wrong: it is neither None nor empty."""
    if result[:1] == b"v" and result[1:] in EMPTY:
        raise GateFailed("trivial", "experiment returns None or something empty: return what was computed")


def deterministic(base: ProbeSession, checker: ProbeSession, proposal: Proposal, first: First, clock: Clock) -> None:
    """The same seed gives an equivalent result, judged by the script in a process that ran nothing."""
    clock.check("deterministic")
    try:
        base.setup(SEED, digest=False)
        first.seconds = min(first.seconds, base.run().wall_ns / 1e9)
        second = base.result()
        checker.load(proposal.script, proposal.dialect)
        checker.check(first.result, second)
    except CheckFailed as error:
        raise GateFailed("deterministic", f"the same seed twice gives results that differ: {error}") from None
    except ProbeError as error:
        raise GateFailed("deterministic", f"the second run with the same seed fails: {explain(error)}") from None


def seeds(base: ProbeSession, proposal: Proposal, first: First, clock: Clock) -> None:
    """Another seed builds another workload, by the digest of its state, and leads to another result."""
    if not varies(proposal):
        return
    clock.check("seeds")
    digests, results = [], [first.result]
    try:
        digests.append(base.setup(SEED).digest)
        for seed in (OTHER_SEED, THIRD_SEED):
            digests.append(base.setup(seed).digest)
            base.run()
            results.append(base.result())
            if len(set(results)) > 1 and (None in digests or len(set(digests)) > 1):
                return
    except ProbeError as error:
        raise GateFailed("seeds", f"another seed fails: {explain(error)}") from None
    if None not in digests and len(set(digests)) == 1:
        raise GateFailed("seeds", f"setup({SEED}) and setup({OTHER_SEED}) build the same workload: use the seed")
    if None in digests:
        raise GateFailed(
            "seeds", "three seeds give the same result, and the workload cannot be looked at: use the seed"
        )
    raise GateFailed("trivial", "three seeds with different workloads give the same result: return what was computed")


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


def trace(probe: ProbeSession, clock: Clock) -> dict[str, list[int]]:
    """Lines that the experiment executes, without its setup."""
    clock.check("coverage")
    try:
        return probe.trace(SEED, with_setup=False)
    except ProbeError as error:
        raise GateFailed("coverage", f"under tracing, {explain(error)}") from None


def coverage(targets: Targets, lines: dict[str, list[int]]) -> list[str]:
    """The timed call runs changed functions. Returns their names; empty where no changed function can be traced."""
    if not targets.traceable:
        return []
    covered = targets.covered(lines)
    if not covered:
        wanted = ", ".join([*targets.functions, *targets.files][:8])
        raise GateFailed("coverage", f"experiment runs none of the changed code: {wanted}")
    return covered


def changed_lines_run(on_base: float | None, on_human: float | None) -> None:
    """Some changed lines run, where they can be traced: removed lines on base, or added lines on human."""
    known = [share for share in (on_base, on_human) if share is not None]
    if known and not any(known):
        raise GateFailed(
            "lines",
            "experiment calls changed functions, but none of their changed lines runs, neither on base nor on human: "
            "choose inputs that take the changed branch",
        )


def human_runs(human: ProbeSession, proposal: Proposal, clock: Clock) -> bytes:
    """The script runs on the human's code too. Returns the result."""
    clock.check("human_runs")
    try:
        human.load(proposal.script, proposal.dialect)
        human.setup(SEED, digest=False)
        human.run()
        return human.result()
    except ProbeError as error:
        raise GateFailed("human_runs", explain(error)) from None


def order(fresh: ProbeSession, checker: ProbeSession, first: First, clock: Clock) -> None:
    """Another seed before this one changes nothing: rounds may come in any order. `fresh` has the script loaded."""
    clock.check("order")
    try:
        for seed in (OTHER_SEED, SEED):
            fresh.setup(seed, digest=False)
            fresh.run()
        checker.check(first.result, fresh.result())
    except CheckFailed as error:
        raise GateFailed(
            "order", f"after another seed, the same seed gives another result, so rounds are not independent: {error}"
        ) from None
    except ProbeError as error:
        raise GateFailed("order", f"after another seed it fails: {explain(error)}") from None


def same_result(checker: ProbeSession, reference: bytes, candidate: bytes) -> bool:
    """Whether the script accepts the candidate."""
    try:
        checker.check(reference, candidate)
    except (CheckFailed, ProbeError):
        return False
    return True


def _cause(error: ProbeError) -> GateFailed:
    """The gate that a failed first run belongs to."""
    text = explain(error)
    if error.kind == "exception":
        if found := _MISSING.match(error.message):
            return GateFailed(
                "imports", f"{found[1]}: use the standard library, the repository and what it needs\n{text}"
            )
        if _NETWORK.search(error.message):
            return GateFailed("network", f"there is no network: build the workload from the seed\n{text}")
        if found := _WRITES.search(error.message):
            return GateFailed("writes", f"{found[1] or 'a path'} is not to be written: use the working folder\n{text}")
    return GateFailed("base_runs", text)
