"""Spreads ranges of history over worker processes: each has its own git, and rows come back in any order."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from storage.tables import Commit
from tasks.mining.errors import MiningError
from tasks.mining.git.history import Inner
from tasks.mining.git.process import open_repository
from tasks.mining.workers.filtering import Filtering, Row
from tasks.mining.workers.process import Range, Setup, batches

MIN_CHANGES = 300
"""Fewer changes than this are judged at once in this process: starting another takes longer."""
RANGE = 250
"""Changes of one range at most: more would make git start a little less often."""
LAST_RANGE = 40
"""Towards the end ranges get smaller, down to this many, so that workers finish together."""
MAX_WORKERS = 8
_ROOT = Path(__file__).resolve().parents[3]
_WAIT_S = 0.5

Batch = list[Commit]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def filter_all(
    setup: Setup, shas: list[str], inner_of: Callable[[], dict[str, Inner]], *, processes: int | None = None
) -> Iterator[Batch]:
    """Rows of the changes in batches: each change once, in the order asked for where one process is enough. Newest
    first is faster: packs hold the newest version of a file whole, and older ones as differences from newer ones.

    `inner_of` returns the commits that merges brought in; it is called once, while worker processes start. `processes`:
    their largest number; by default one per core, up to 8. Raises MiningError; with `outside` set if a worker died,
    which a second try may cure. Rows that were yielded before are sound.
    """
    count = min(processes or min(cores(), MAX_WORKERS), len(shas) // MIN_CHANGES + 1)
    if count <= 1:
        with open_repository(setup.clone) as repo, Filtering(repo, setup.name, setup.rules, setup.version) as filtering:
            yield from _commits(batches(filtering.rows(shas, inner_of())))
        return
    with contextlib.closing(_Pool(setup, count)) as pool:
        yield from _commits(pool.rows(Regions(shas, count), inner_of()))


def cut(shas: list[str]) -> list[list[str]]:
    """Ranges of one worker's changes, together all of them, in their order; the last ones are short."""
    ranges = []
    start = 0
    while start < len(shas):
        size = max(LAST_RANGE, min(RANGE, (len(shas) - start) // 2))
        ranges.append(shas[start : start + size])
        start += size
    return ranges


class Regions:
    """Each worker goes through its own part of the history, so that its git reads neighbouring changes, which share
    files; an idle worker takes changes from the far end of the longest rest (work stealing)."""

    def __init__(self, shas: list[str], count: int) -> None:
        bounds = [len(shas) * part // count for part in range(count + 1)]
        self._left = [deque(cut(shas[start:end])) for start, end in pairwise(bounds)]
        self._lock = threading.Lock()

    def take(self, worker: int) -> list[str] | None:
        """The next range for this worker; None if nothing is left."""
        with self._lock:
            if self._left[worker]:
                return self._left[worker].popleft()
            most = max(self._left, key=len)
            return most.pop() if most else None


def _commits(found: Iterator[list[Row]]) -> Iterator[Batch]:
    for batch in found:
        yield [Commit(**row) for row in batch]


@dataclass(frozen=True)
class Line:
    """The connection with a worker."""

    questions: BinaryIO
    answers: BinaryIO

    def close(self) -> None:
        """Ends the worker, as soon as it wants to read or to write."""
        for pipe in (self.questions, self.answers):
            with contextlib.suppress(OSError):
                pipe.close()


class _Pool:
    """A thread per worker hands it range after range and passes its batches on, through a queue of bounded length."""

    def __init__(self, setup: Setup, count: int) -> None:
        """Starts the processes, which import for a while before they ask for work."""
        self._setup = setup
        self._regions = Regions([], count)
        self._inner: dict[str, Inner] = {}
        self._process, self._lines = _start(count)
        self._found: queue.Queue[list[Row] | MiningError | None] = queue.Queue(maxsize=2 * count)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=one) for one in enumerate(self._lines)]

    def rows(self, regions: Regions, inner: dict[str, Inner]) -> Iterator[list[Row]]:
        """Rows of all regions, in the order of arrival."""
        self._regions, self._inner = regions, inner
        for thread in self._threads:
            thread.start()
        running = len(self._threads)
        while running:
            match self._found.get():
                case None:
                    running -= 1
                case MiningError() as error:
                    raise error
                case batch:
                    yield batch
        self._process.wait()  # they end their gits, and then themselves

    def close(self) -> None:
        """End the processes, also busy ones."""
        self._stop.set()
        self._process.terminate()
        self._process.wait()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for line in self._lines:
            line.close()

    def _serve(self, number: int, line: Line) -> None:
        try:
            pickle.dump(self._setup, line.questions)
            while not self._stop.is_set() and (shas := self._regions.take(number)) is not None:
                inner = {sha: self._inner[sha] for sha in shas if sha in self._inner}
                pickle.dump(Range(shas, inner), line.questions)
                line.questions.flush()
                while (answer := pickle.load(line.answers)) is not None:
                    self._put(MiningError(answer) if isinstance(answer, str) else answer)
            line.close()
        except (OSError, EOFError, pickle.UnpicklingError):
            self._put(MiningError("a mining process ended before its work was done; run again to go on", outside=True))
        self._put(None)

    def _put(self, item: list[Row] | MiningError | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._found.put(item, timeout=_WAIT_S)
                return


def _start(count: int) -> tuple[subprocess.Popen[bytes], list[Line]]:
    """The process that becomes so many workers, and the line to each."""
    questions, answers = [os.pipe() for _ in range(count)], [os.pipe() for _ in range(count)]
    theirs = [(asked[0], answered[1]) for asked, answered in zip(questions, answers, strict=True)]
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        # -P: a folder `tasks` where the user stands is not ours
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                f"import sys; from tasks.mining.workers.process import main; sys.exit(main({theirs}))",
            ],
            stdin=subprocess.DEVNULL,
            stdout=2,  # a stray print belongs with the errors
            pass_fds=[end for pair in theirs for end in pair],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    finally:
        for pair in theirs:
            for end in pair:
                os.close(end)
    ours = zip(questions, answers, strict=True)
    return process, [Line(open(asked[1], "wb"), open(answered[0], "rb")) for asked, answered in ours]
