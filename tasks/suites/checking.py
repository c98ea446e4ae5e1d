"""Whether a patch passes what base and human pass. Tests that must fail, too, tell whether its outcomes are its own."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace

from tasks.sandbox.models import Arm
from tasks.suites.models import Checked, Ran, Reference
from tasks.suites.running import Outcomes, Place, Runner, chunks_of, files_of, function_of, running
from tasks.suites.session import Chunk

SLOWER, MORE_S = 10.0, 5.0
"""A test may take so many times as long as on the human's code, and so many seconds more."""
CANARY_SHARE = 0.4
"""Of the time for a patch, what canaries may take at most."""
NAMED = 5
"""Failing tests that a reason names."""


def refer(
    place: Place, instance_id: str, human: Arm, tests: Sequence[str], of_change: int, check_s: float
) -> Reference:
    """Run an instance's tests on the human's code: what passes here and now is what patches are held against.

    And find out which spoiled assertions do make a test fail. Takes at most twice `check_s` seconds. Raises SuiteError
    and SandboxError.
    """
    ran: dict[str, Ran] = {}
    counted: dict[str, int] = {}
    altered: set[str] = set()
    collect_s = 0.0
    end = time.monotonic() + check_s
    with running(place, human) as runner:
        for chunk in chunks_of(tests, of_change):
            part = runner.run(Chunk(files_of(chunk), chunk, count=True), end)
            ran |= part.tests
            counted |= part.counted
            altered |= part.altered
            collect_s = max(collect_s, part.collect_s)
        passing = [nodeid for nodeid in tests if nodeid in ran and ran[nodeid].outcome == "passed"]
        canaries = _find_canaries(runner, passing, counted, ran, time.monotonic() + check_s)
    return Reference(
        instance_id=instance_id,
        tests=passing,
        of_change=sum(nodeid in ran and ran[nodeid].outcome == "passed" for nodeid in tests[:of_change]),
        seconds={nodeid: round(ran[nodeid].seconds, 4) for nodeid in passing},
        collect_s=round(collect_s, 3),
        canaries=canaries,
        changes_itself=sorted(altered),
        not_own=[nodeid for nodeid in passing if not ran[nodeid].own],
        not_passing=len(tests) - len(passing),
        reason="" if passing else f"none of its {len(tests)} tests passes here: {_why(ran)}",
    )


def _find_canaries(
    runner: Runner, tests: Sequence[str], counted: dict[str, int], ran: dict[str, Ran], end: float
) -> dict[str, list[int]]:
    """Test -> assertions that, spoiled, make it fail; one test per function."""
    found: dict[str, list[int]] = {}
    one = {function_of(nodeid): nodeid for nodeid in reversed(tests)}
    for index in range(max(counted.values(), default=0)):
        chosen = [nodeid for name, nodeid in one.items() if counted.get(name, 0) > index]
        chosen.sort(key=tests.index)
        for chunk in chunks_of(chosen, 0):
            if time.monotonic() >= end:
                return found
            part = runner.run(_canary_chunk(dict.fromkeys(chunk, index), {n: ran[n].seconds for n in chunk}), end)
            for nodeid in chunk:
                if nodeid in part.tests and part.tests[nodeid].outcome == "failed":
                    found.setdefault(nodeid, []).append(index)
    return found


def check(place: Place, arm: Arm, reference: Reference, added: Sequence[str], check_s: float) -> tuple[Checked, Tally]:
    """Run the tests on a patch's code for `check_s` seconds at most, those that execute changed functions first.

    A test that does not pass, twice, is a failure, also if nobody tells what came of it; one for which there was no
    time is not. `added`: modules that the patch adds beside the project's packages. Raises SuiteError, SandboxError.
    """
    tally = Tally(len(reference.tests), check_s)
    start = time.monotonic()
    end = start + check_s
    drawn = random.SystemRandom()
    with running(place, arm, added) as runner:
        if shadowed := runner.session.shadowed:
            tally.forged = f"puts modules of its own in the place of installed ones: {', '.join(shadowed[:NAMED])}"
        for chunk in chunks_of(reference.tests, reference.of_change):
            if tally.forged or time.monotonic() >= end:
                tally.not_run += 0 if tally.forged else len(chunk)
                continue
            _run_chunk(runner, chunk, reference, tally, end, drawn)
    tally.seconds = time.monotonic() - start
    return Checked(patch=arm.name, correct=tally.correct, reason=tally.reason), tally


class Tally:
    """What came of a patch's tests."""

    def __init__(self, total: int, budget_s: float) -> None:
        self.total = total
        self.budget_s = budget_s
        self.passed = 0
        self.failed: dict[str, Ran] = {}
        self.not_run = 0
        self.canaries = 0
        """Spoiled tests that failed, as they must."""
        self.canary_s = 0.0
        self.forged = ""
        """How outcomes are forged; empty if nothing tells that they are."""
        self.seconds = 0.0

    @property
    def correct(self) -> bool | None:
        """None if nothing was run."""
        if self.failed or self.forged:
            return False
        return True if self.passed else None

    @property
    def reason(self) -> str:
        """In one line."""
        if self.forged:
            return f"forges the outcomes of tests: {self.forged}"
        if not self.failed:
            return f"no time for all tests: {self.not_run} of {self.total} were not run" if self.not_run else ""
        names = list(self.failed)
        more = f" (and {len(names) - NAMED} more)" if len(names) > NAMED else ""
        return (
            f"fails tests that base and human pass: {len(names)} of {self.total}, {', '.join(names[:NAMED])}{more}; "
            f"the first: {self.failed[names[0]].why or self.failed[names[0]].outcome}"
        )


def _run_chunk(
    runner: Runner, tests: Sequence[str], reference: Reference, tally: Tally, end: float, drawn: random.Random
) -> None:
    """Run tests and, in a process of their own, spoiled ones; which of both comes first, nobody can know."""
    limits = {nodeid: limit_s(reference.seconds[nodeid]) for nodeid in tests}
    spoiled = {nodeid: drawn.choice(reference.canaries[nodeid]) for nodeid in tests if nodeid in reference.canaries}
    real = Chunk(files_of(tests), tests, limits=limits, test_s=MORE_S, collect_s=limit_s(reference.collect_s) + MORE_S)
    canary = replace(real, spoiled={function_of(nodeid): index for nodeid, index in spoiled.items()})
    expected_s = 1.0 + sum(reference.seconds[nodeid] for nodeid in tests)
    affordable = bool(spoiled) and tally.canary_s + expected_s <= max(CANARY_SHARE * tally.budget_s, 2.0)
    passing: set[str] = set()
    first = bool(drawn.getrandbits(1))
    if affordable and first:
        passing = _passing_canaries(runner, canary, spoiled, tally, end)
    part, bad = _run_twice(runner, real, reference, end)
    if affordable and not first and not bad:
        passing = _passing_canaries(runner, canary, spoiled, tally, end)
    tally.failed |= bad
    tally.passed += sum(nodeid not in bad for nodeid in part.tests)
    tally.not_run += len(part.not_run)
    replaced = sorted(part.altered - set(reference.changes_itself))
    doubtful = passing - bad.keys()
    if doubtful:  # a test that depends on chance may pass by chance; what forges outcomes does so again
        doubtful &= _passing_canaries(runner, canary, spoiled, tally, time.monotonic() + 2 * expected_s + MORE_S)
    if doubtful:
        tally.forged = f"{min(doubtful)} passes although what it asserts was made false ({len(doubtful)} such)"
    elif replaced and not bad:
        tally.forged = f"it replaces {', '.join(replaced[:NAMED])}"


def _run_twice(runner: Runner, chunk: Chunk, reference: Reference, end: float) -> tuple[Outcomes, dict[str, Ran]]:
    """(what came of a chunk, what failed in it, and failed again in the same order: not by chance)."""
    begun = time.monotonic()
    part = runner.run(chunk, end)
    bad = _bad(part.tests, reference)
    if bad:
        now = time.monotonic()
        again = runner.run(chunk, now + (now - begun) + max(chunk.limits.values()))
        # what there was no time for a second time has failed once
        bad = {
            nodeid: ran
            for nodeid, ran in bad.items()
            if nodeid in _bad(again.tests, reference) or nodeid in again.not_run
        }
    return part, bad


def _bad(results: dict[str, Ran], reference: Reference) -> dict[str, Ran]:
    not_own = set(reference.not_own)
    found = {}
    for nodeid, ran in results.items():
        if ran.outcome != "passed":
            found[nodeid] = ran
        elif not ran.own and nodeid not in not_own:
            found[nodeid] = ran.model_copy(update={"why": "its function is not the suite's own"})
    return found


def _passing_canaries(runner: Runner, chunk: Chunk, spoiled: dict[str, int], tally: Tally, end: float) -> set[str]:
    """Spoiled tests that do not fail. One that is ended or missing would be so when it is not spoiled, too."""
    begun = time.monotonic()
    part = runner.run(chunk, end)
    tally.canary_s += time.monotonic() - begun
    found = {nodeid: ran.outcome for nodeid, ran in part.tests.items() if nodeid in spoiled}
    tally.canaries += sum(outcome in ("failed", "timeout") for outcome in found.values())
    return {nodeid for nodeid, outcome in found.items() if outcome in ("passed", "skipped")}


def _canary_chunk(chosen: dict[str, int], seconds: dict[str, float]) -> Chunk:
    return Chunk(
        files_of(list(chosen)),
        list(chosen),
        spoiled={function_of(nodeid): index for nodeid, index in chosen.items()},
        limits={nodeid: limit_s(seconds[nodeid]) for nodeid in chosen},
    )


def limit_s(seconds: float) -> float:
    """How long a test may take that takes so long on the human's code."""
    return SLOWER * seconds + MORE_S


def _why(ran: dict[str, Ran]) -> str:
    return next((f"{nodeid}: {one.why or one.outcome}" for nodeid, one in ran.items()), "there was no time for any")
