"""Running many tests of one arm: in chunks, going on after a process that ended, within a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.sandbox.models import Arm, Limits, Sandbox
from tasks.suites.models import Ran
from tasks.suites.session import Answer, Chunk, SuiteSession

CHUNK_FILES, CHUNK_TESTS = 16, 400
"""What shares a process at most."""
MAX_ENDS = 20
"""Processes of one run that may end before they are done; then the rest is not run."""


@dataclass(frozen=True)
class Place:
    """Where tests are run."""

    sandbox: Sandbox
    work: Path
    limits: Limits
    tools: Path


@dataclass
class Outcomes:
    """What came of many tests."""

    tests: dict[str, Ran] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)
    """For lack of time."""
    errors: list[str] = field(default_factory=list)
    collect_s: float = 0.0
    """The longest time that the files of one chunk took."""
    at_import: set[str] = field(default_factory=set)
    altered: set[str] = field(default_factory=set)
    counted: dict[str, int] = field(default_factory=dict)
    collected: list[str] = field(default_factory=list)


class Runner:
    """Runs chunks of one arm; starts its process when it is first needed, and again if the arm ends it."""

    def __init__(self, place: Place, arm: Arm, added: Sequence[str] = (), hash_seed: int = 0) -> None:
        self._place, self._arm, self._added, self._hash_seed = place, arm, added, hash_seed
        self._session: SuiteSession | None = None
        self._ends = 0

    def close(self) -> None:
        """End its process."""
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def session(self) -> SuiteSession:
        """A process that can be asked. Raises SuiteError and SandboxError."""
        if self._session is None or not self._session.alive:
            place = self._place
            made = SuiteSession(
                place.sandbox, self._arm, place.work, place.limits, tools=place.tools, added=self._added,
                hash_seed=self._hash_seed,
            )  # fmt: skip
            self._session = made.__enter__()
        return self._session

    def run(self, chunk: Chunk, end: float) -> Outcomes:
        """Run a chunk until `time.monotonic()` is `end`; what ends its process costs itself, the rest is run anew.

        With tests by name each has an outcome, or stands in `not_run`.
        """
        found = Outcomes()
        todo = None if chunk.tests is None else list(chunk.tests)
        while todo is None or todo:
            left_s = end - time.monotonic()
            if left_s <= 0 or self._ends >= MAX_ENDS:
                found.not_run += todo or []
                break
            answer = self.session.run(replace(chunk, tests=todo, total_s=left_s))
            self._note(found, answer)
            known = answer.collected if todo is None else todo
            if answer.ended:
                self._ends += 1
            if answer.ended and not answer.tests:
                for nodeid in todo or []:
                    found.tests[nodeid] = Ran(outcome="ended", why=answer.ended)
                break
            left = set(answer.left)
            found.not_run += answer.left
            rest = [nodeid for nodeid in known if nodeid not in found.tests and nodeid not in left]
            if not answer.ended:
                for nodeid in rest:
                    why = next((text for text in answer.errors if text.startswith(nodeid.partition("::")[0])), "")
                    found.tests[nodeid] = Ran(outcome="missing", why=why or "it is not collected")
                break
            todo = rest[::-1] if chunk.reverse and todo is None else rest
        return found

    def _note(self, found: Outcomes, answer: Answer) -> None:
        found.tests |= answer.tests
        found.errors += answer.errors
        found.at_import |= set(answer.at_import)
        found.altered |= set(answer.altered)
        found.counted |= answer.counted
        found.collect_s = max(found.collect_s, answer.collect_s)
        found.collected += [nodeid for nodeid in answer.collected if nodeid not in set(found.collected)]


@contextmanager
def running(place: Place, arm: Arm, added: Sequence[str] = (), hash_seed: int = 0) -> Iterator[Runner]:
    """A runner whose process ends with the block."""
    runner = Runner(place, arm, added, hash_seed)
    try:
        yield runner
    finally:
        runner.close()


def chunks_of(tests: Sequence[str], of_change: int) -> list[list[str]]:
    """Tests by name in chunks, in their order; within a chunk by file, so that fixtures of modules are made once.

    The first `of_change` tests, those that execute changed functions, share no chunk with others, unless all fit one.
    """
    if len(tests) <= CHUNK_TESTS and len(files_of(tests)) <= CHUNK_FILES:
        return [list(tests)] if tests else []
    found: list[list[str]] = []
    for group in (tests[:of_change], tests[of_change:]):
        files: set[str] = set()
        chunk: list[str] = []
        for nodeid in group:
            file = file_of(nodeid)
            if chunk and (len(chunk) >= CHUNK_TESTS or len(files | {file}) > CHUNK_FILES):
                found.append(chunk)
                chunk, files = [], set()
            chunk.append(nodeid)
            files.add(file)
        if chunk:
            found.append(chunk)
    return found


def file_of(nodeid: str) -> str:
    """The file of a test."""
    return nodeid.partition("::")[0]


def files_of(tests: Sequence[str]) -> list[str]:
    """The files of tests, each once."""
    return list(dict.fromkeys(file_of(nodeid) for nodeid in tests))


def function_of(nodeid: str) -> str:
    """A test without its parameters: the function that canaries are made of."""
    return nodeid.partition("[")[0]
