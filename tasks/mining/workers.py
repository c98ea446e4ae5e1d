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
from itertools import pairwise
from pathlib import Path

from storage.tables import Commit
from tasks.mining.errors import MiningError
from tasks.mining.gitio import open_repository
from tasks.mining.history import Inner
from tasks.mining.judging import Judge, Row
from tasks.mining.worker import Range, Setup, batches

MIN_CHANGES = 300
"""Fewer changes than this are judged at once in this process: starting another takes longer."""
RANGE = 250
"""Changes of one range at most: more would make git start a little less often."""
LAST_RANGE = 40
"""Towards the end ranges get smaller, down to this many, so that workers finish together."""
MAX_WORKERS = 8
_ROOT = Path(__file__).resolve().parents[2]
_WAIT_S = 0.5

Batch = list[Commit]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def judge_all(
    setup: Setup, shas: list[str], inner_of: Callable[[], dict[str, Inner]], *, processes: int | None = None
) -> Iterator[Batch]:
    """Rows of the changes in batches: each change once, in the order asked for where one process is enough. Newest
    first is faster: packs hold the newest version of a file whole, and older ones as differences from newer ones.

    `inner_of` says what merges brought in; it is asked once, while worker processes start. `processes`: at most so
    many; by default one per core, up to 8. Raises MiningError; with `outside` set if a worker died, which a second try
    may cure. Whatever was yielded before is sound.
    """
    count = min(processes or min(cores(), MAX_WORKERS), len(shas) // MIN_CHANGES + 1)
    if count <= 1:
        with open_repository(setup.clone) as repo, Judge(repo, setup.name, setup.rules, setup.version) as judge:
            yield from _commits(batches(judge.rows(shas, inner_of())))
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
    """Each worker goes through a part of the history of its own, so that its git meets neighbours, which share files;
    who is through helps the one who has most left, from the far end."""

    def __init__(self, shas: list[str], count: int) -> None:
        bounds = [len(shas) * part // count for part in range(count + 1)]
        self._left = [deque(cut(shas[start:end])) for start, end in pairwise(bounds)]
        self._lock = threading.Lock()

    def take(self, worker: int) -> list[str] | None:
        """What this worker does next; None if nothing is left."""
        with self._lock:
            if self._left[worker]:
                return self._left[worker].popleft()
            most = max(self._left, key=len)
            return most.pop() if most else None


def _commits(found: Iterator[list[Row]]) -> Iterator[Batch]:
    for batch in found:
        yield [Commit(**row) for row in batch]


class _Pool:
    """A thread per worker hands it range after range and passes its batches on, through a queue of bounded length."""

    def __init__(self, setup: Setup, count: int) -> None:
        """Starts the processes, which import for a while before they ask for work."""
        self._setup = setup
        self._regions = Regions([], count)
        self._inner: dict[str, Inner] = {}
        self._workers = [_start() for _ in range(count)]
        self._found: queue.Queue[list[Row] | MiningError | None] = queue.Queue(maxsize=2 * count)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=one) for one in enumerate(self._workers)]

    def rows(self, regions: Regions, inner: dict[str, Inner]) -> Iterator[list[Row]]:
        """Rows of all regions, as they come."""
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

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._stop.set()
        for worker in self._workers:
            worker.kill()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for worker in self._workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _serve(self, number: int, worker: subprocess.Popen[bytes]) -> None:
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            pickle.dump(self._setup, worker.stdin)
            while not self._stop.is_set() and (shas := self._regions.take(number)) is not None:
                inner = {sha: self._inner[sha] for sha in shas if sha in self._inner}
                pickle.dump(Range(shas, inner), worker.stdin)
                worker.stdin.flush()
                while (answer := pickle.load(worker.stdout)) is not None:
                    self._put(MiningError(answer) if isinstance(answer, str) else answer)
            with contextlib.suppress(OSError):
                worker.stdin.close()  # it ends its git, and then itself
            worker.wait()
        except (OSError, EOFError, pickle.UnpicklingError):
            status = worker.wait()
            self._put(MiningError(f"a mining process ended with status {status}; run again to go on", outside=True))
        self._put(None)

    def _put(self, item: list[Row] | MiningError | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._found.put(item, timeout=_WAIT_S)
                return


def _start() -> subprocess.Popen[bytes]:
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: a folder `tasks` where the user stands is not ours
    return subprocess.Popen(
        [sys.executable, "-P", "-c", "from tasks.mining.worker import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
