"""Gates that watch the script in a process of its own: its network and files, its setup, its check."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tasks.perftests.gates.behaviour import First, order, trace
from tasks.perftests.gates.context import INSIDE, WATCH, Bench, Clock, GateFailed, once, varies
from tasks.perftests.gates.telling import without_the_change
from tasks.perftests.models import Proposal
from tasks.perftests.sources.workloads import spans
from tasks.sandbox.probe.inside import structure
from tasks.sandbox.probe.inside.encoding import decode
from tasks.sandbox.probe.session import CheckFailed, ProbeError, ProbeSession

STRUCTURE = Path(structure.__file__)
MAX_SETUP_SHARE = 0.5
"""Of the time that changed code runs, the part that setup may have; what is in setup is never timed."""
LEAST_S = 0.002
"""Changed code that runs shorter than this in setup is no experiment."""
REPORT = """
import isobench_watching

def setup(seed):
    return None

def experiment(state):
    return isobench_watching.report()

def check_equivalence(reference, candidate):
    pass
"""
SAID = {
    "values": "every value changed",
    "one value": "a single value changed",
    "items": "items dropped",
    "nothing": "None instead of the result",
    "empty": "an empty result",
    "longer": "an item too many",
    "nan": "NaN instead of numbers",
    "infinite": "infinity instead of numbers",
    "other type": "the same as another type",
}
"""Kinds of wrong results that are to be rejected, in words."""


@dataclass(frozen=True)
class Watched:
    """The findings of the process under watch."""

    lines: dict[str, list[int]]
    """Lines of base that the experiment executes, by path."""
    setup_share: float | None
    """Share of the changed functions' time that lies in setup; None where none exists on base."""
    setup_s: float
    """That time, in seconds, slowed by watching."""
    stubbed: bytes | None
    """The result while the changed functions do nothing; None if there is none."""


def world(
    bench: Bench, proposal: Proposal, checker: ProbeSession, first: First, want_lines: bool, clock: Clock
) -> Watched:
    """Gates `order`, `network` and `writes`, in one process on base that runs two seeds."""
    clock.check("order")
    targets = spans(bench.targets.functions) if bench.targets.arm == "base" else {}
    watching = [WATCH.read_text(), (INSIDE / "world.py").read_text()]
    with bench.session(bench.base, clock) as fresh:
        try:
            fresh.load("\n".join([*watching, f"begin({targets!r}, {bench.root!r})\n"]))
            fresh.load(once(proposal), proposal.dialect)
        except ProbeError as error:
            raise GateFailed("order", f"in a second process it fails: {error}") from None
        order(fresh, checker, first, clock)
        lines = trace(fresh, clock) if want_lines else {}
        notes = _report(fresh)
        stubbed = without_the_change(bench, proposal, fresh, first, clock)
    if notes["network"]:
        raise GateFailed("network", f"the script {'; '.join(notes['network'])}: build the workload from the seed")
    if notes["writes"]:
        raise GateFailed("writes", f"the script changes {', '.join(notes['writes'])}: use the working folder")
    inside, timed = float(notes["setup_s"]), float(notes["run_s"])
    share = inside / (inside + timed) if targets and inside + timed > 0 else None
    return Watched(lines, share, inside, stubbed)


def setup_work(watched: Watched, proposal: Proposal) -> None:
    """Changed code works in the experiment more than in setup."""
    share = watched.setup_share
    if share is not None and share > MAX_SETUP_SHARE and watched.setup_s > LEAST_S and varies(proposal):
        raise GateFailed(
            "setup",
            f"{share:.0%} of the time in changed code is spent in setup, which is not timed: move that work into "
            "experiment, or build the workload without the changed code",
        )


def alive(checker: ProbeSession, proposal: Proposal, first: First, clock: Clock) -> list[str]:
    """check_equivalence, or the check of structure beside it, rejects the wrong results (mutants) that the gate makes.

    Returns the kinds of mutants that check_equivalence alone rejects completely. At least half of the mutants of each
    kind must be rejected: a field that is not compared is allowed.
    """
    clock.check("check")
    parts = [proposal.script, f"\nISOBENCH_STRUCTURE = {STRUCTURE.read_text()!r}", (INSIDE / "mutants.py").read_text()]
    try:
        checker.load("\n".join(parts), proposal.dialect)
        checker.check(first.result, first.result)
    except CheckFailed as error:
        found = _mutants(str(error))
    except ProbeError as error:
        raise GateFailed("check", f"check_equivalence cannot be tried: {error}") from None
    else:
        found = {}
    weak = [kind for kind in SAID if kind in found and 2 * found[kind].accepted > found[kind].made]
    if weak:
        raise GateFailed(
            "check",
            f"check_equivalence accepts wrong results ({', '.join(SAID[kind] for kind in weak)}): "
            "assert that candidate equals reference",
        )
    return sorted(kind for kind, counts in found.items() if not counts.by_script)


class Counts(NamedTuple):
    """Numbers of mutants of one kind."""

    by_script: int
    """Accepted by check_equivalence."""
    accepted: int
    """By it and by the check of structure."""
    made: int


def _mutants(message: str) -> dict[str, Counts]:
    """Counts by kind. A check that fails before it can be tried is dead for this gate, too."""
    _, mark, text = message.partition("MUTANTS")
    if not mark:
        raise GateFailed("check", f"check_equivalence rejects base's own result: {message}")
    return {str(kind): Counts(*map(int, counts)) for kind, counts in json.loads(text).items()}


def _report(fresh: ProbeSession) -> dict[str, Any]:
    try:
        fresh.load(REPORT)
        fresh.setup(0, digest=False)
        fresh.run()
        found = decode(fresh.result()[1:])
    except (ProbeError, ValueError) as error:
        raise GateFailed("order", f"the process cannot be asked what happened: {error}") from None
    if not isinstance(found, dict):
        raise GateFailed("order", "the process answers something else than what happened")
    return found
