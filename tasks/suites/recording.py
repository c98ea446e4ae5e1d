"""Which of the repository's own tests can judge patches: those that pass on base and on human, time after time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.progress import tell
from tasks.sandbox.models import Arm
from tasks.suites.functions import Spans, by_mention, names_in, spans_of
from tasks.suites.models import Ran
from tasks.suites.running import CHUNK_FILES, Outcomes, Place, Runner, chunks_of, files_of, running
from tasks.suites.session import Chunk
from tasks.suites.tree import test_files

TEST_S = 30.0
"""A test that takes longer is not chosen, in seconds."""
MAX_CHOSEN = 5000
"""Tests that an instance holds at most, those that execute changed functions first."""
FIRST_SHARE = 0.4
"""Of the time, for the first run, in which it is seen which tests execute changed functions."""


@dataclass
class Recording:
    """What was found out."""

    pass_to_pass: list[str] = field(default_factory=list)
    """Those that execute changed functions first, then the quickest."""
    of_change: int = 0
    """How many of them, from the first, execute changed functions."""
    fail_to_pass: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of each test of `pass_to_pass`: the longest of its runs."""
    collected: int = 0
    flaky: list[str] = field(default_factory=list)
    """Tests of which one side's runs came to different outcomes."""
    not_reached: int = 0
    """Test files that were not looked at, and tests that were not run often enough, for lack of time."""
    uncovered: list[str] = field(default_factory=list)
    """Changed Python functions that no chosen test executes."""
    seen: bool = True
    """Whether any changed function is Python, so that its calls can be seen."""
    errors: list[str] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Chosen tests of those that were collected, from 0 to 1."""
        return len(self.pass_to_pass) / self.collected if self.collected else None


def record(place: Place, base: Arm, human: Arm, functions_changed: Sequence[str], record_s: float) -> Recording:
    """Run the suite four times: on human and on base in the order of its files, then on both in reverse.

    `base` holds base's code and the human's tests (`tree.make_tree`). The second pair also has another hash seed. All
    of it takes `record_s` seconds at most, and one test's time limit. Raises SuiteError and SandboxError.
    """
    start = time.monotonic()
    checkout = place.work / human.checkout
    spans = spans_of(functions_changed, checkout)
    files = by_mention(list(test_files(checkout)), functions_changed, checkout)
    found = Recording(seen=bool(spans))
    tell(0, 4)
    with running(place, human) as runner:
        first, not_reached = _first_run(runner, files, spans, start + FIRST_SHARE * record_s)
    found.collected, found.errors, found.not_reached = len(first.collected), first.errors[:20], not_reached
    passing = [nodeid for nodeid in first.collected if _passed(first.tests.get(nodeid))]
    calls = {nodeid for nodeid in passing if first.tests[nodeid].functions}
    ordered = sorted(passing, key=lambda nodeid: (nodeid not in calls, _pace(first.tests[nodeid])))
    runs: list[Outcomes | dict[str, Ran]] = [first]
    for number, (arm, reverse) in enumerate(((base, False), (human, True), (base, True)), start=1):
        tell(number, 4)
        end = time.monotonic() + (start + record_s - time.monotonic()) / (4 - number)
        with running(place, arm, hash_seed=int(reverse)) as runner:
            runs.append(_again(runner, ordered, len(calls), reverse, end))
    tell(4, 4)
    _choose(found, ordered, calls, runs)
    executed = first.at_import | {name for nodeid in found.pass_to_pass for name in first.tests[nodeid].functions}
    found.uncovered = sorted(names_in(spans) - executed)
    return found


def _first_run(runner: Runner, files: Sequence[str], spans: Spans, end: float) -> tuple[Outcomes, int]:
    """(what came of all tests of the files, under watch; how many files there was no time for)."""
    found = Outcomes()
    todo = [list(files[at : at + CHUNK_FILES]) for at in range(0, len(files), CHUNK_FILES)]
    while todo and time.monotonic() < end:
        chunk = todo.pop(0)
        part = runner.run(Chunk(chunk, test_s=TEST_S, targets=spans), end)
        if not part.collected and len(chunk) > 1:  # one of them ends the process that imports it
            todo = [[file] for file in chunk] + todo
            continue
        found.tests |= part.tests
        found.collected += part.collected
        found.errors += part.errors
        found.at_import |= part.at_import
    return found, sum(map(len, todo))


def _again(runner: Runner, tests: Sequence[str], of_change: int, reverse: bool, end: float) -> dict[str, Ran]:
    """What comes of the tests by name in another run."""
    found: dict[str, Ran] = {}
    for chunk in chunks_of(tests, of_change):
        if time.monotonic() >= end:
            break
        order = chunk[::-1] if reverse else chunk
        found |= runner.run(Chunk(files_of(order), order, test_s=TEST_S), end).tests
    return found


def _choose(
    found: Recording, ordered: Sequence[str], calls: set[str], runs: Sequence[Outcomes | dict[str, Ran]]
) -> None:
    first, *others = runs
    assert isinstance(first, Outcomes)
    base, human_again, base_again = others
    slowest: dict[str, float] = {}
    for nodeid in ordered:
        results = [first.tests.get(nodeid), *(run.get(nodeid) for run in (base, human_again, base_again))]  # type: ignore[union-attr]
        if any(result is None for result in results):
            found.not_reached += 1
            continue
        on_human, on_base = (results[0], results[2]), (results[1], results[3])
        if not all(map(_passed, on_human)) or _passed(on_base[0]) != _passed(on_base[1]):
            found.flaky.append(nodeid)
        elif _passed(on_base[0]):
            slowest[nodeid] = max(result.seconds for result in results if result is not None)
        else:
            found.fail_to_pass.append(nodeid)
    chosen = sorted(slowest, key=lambda nodeid: (nodeid not in calls, _bucket(slowest[nodeid])))[:MAX_CHOSEN]
    found.pass_to_pass, found.seconds = chosen, [round(slowest[nodeid], 4) for nodeid in chosen]
    found.of_change = sum(nodeid in calls for nodeid in chosen)


def _passed(result: Ran | None) -> bool:
    return result is not None and result.outcome == "passed"


def _pace(result: Ran) -> int:
    return _bucket(result.seconds)


def _bucket(seconds: float) -> int:
    """Quick tests come first, but tests of one file stay together as far as that goes."""
    return (seconds >= 0.05) + (seconds >= 0.5) + (seconds >= 5)
