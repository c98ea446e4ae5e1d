"""Worker processes: each judges the ranges of history that come through its pipe, until the pipe ends.

One process imports the filters and then forks into the wanted number, so that the workers start at once and share the
imports in memory. Messages are pickles between processes of ours: first a `Setup`, then any number of `Range`s; each is
answered by batches of rows and `None`, or by the text of the MiningError that ended it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tasks.mining.errors import MiningError
from tasks.mining.filters.rules import Rules
from tasks.mining.git.history import Inner
from tasks.mining.git.process import open_repository
from tasks.mining.workers.filtering import Filtering, Row

BATCH_ROWS = 100
BATCH_BYTES = 4 << 20
"""Patch text in one message: what waits in memory on either side."""


@dataclass(frozen=True)
class Setup:
    """The settings that a worker gets before the first range."""

    clone: Path
    name: str
    """`owner/name`."""
    rules: Rules
    version: str
    """As the rows name it."""


@dataclass(frozen=True)
class Range:
    """Consecutive changes, and the commits that merges among them brought in."""

    shas: list[str]
    inner: dict[str, Inner] = field(default_factory=dict)


def batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in lists of bounded size."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row["patch"]) + len(row["test_patch"])
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def main(pipes: Sequence[tuple[int, int]]) -> int:
    """Becomes a worker for each pair of pipes (questions, answers) and waits for them; SIGTERM ends them all.

    Returns an exit status: 0 if all did what they were asked for.
    """
    workers: set[int] = set()

    def end(*_: object) -> None:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    # a signal that comes now waits until all workers are there to be ended
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, end)
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)  # syntax trees are many small objects and no garbage: look for it seldom
    for own in pipes:
        worker = os.fork()
        if worker == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            _close(pipe for pipe in pipes if pipe != own)  # or the end of one would not be seen while another lives
            os._exit(_serve(*own))
        workers.add(worker)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _close(pipes)
    failed = False
    while workers:
        worker, status = os.wait()
        workers.discard(worker)
        failed |= status != 0
    return int(failed)


def _close(pipes: Iterable[tuple[int, int]]) -> None:
    for pair in pipes:
        for end in pair:
            os.close(end)


def _serve(questions: int, answers: int) -> int:
    try:
        with open(questions, "rb") as source, open(answers, "wb") as sink:
            _answer(source, sink)
    except (EOFError, BrokenPipeError):
        pass  # the parent is done, or gone: nobody reads what is left
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _answer(source: BinaryIO, sink: BinaryIO) -> None:
    setup: Setup = pickle.load(source)
    with open_repository(setup.clone) as repo, Filtering(repo, setup.name, setup.rules, setup.version) as filtering:
        while True:
            job: Range = pickle.load(source)
            try:
                for batch in batches(filtering.rows(job.shas, job.inner)):
                    pickle.dump(batch, sink, pickle.HIGHEST_PROTOCOL)
                    sink.flush()
                pickle.dump(None, sink)
            except MiningError as error:
                pickle.dump(str(error), sink)
            sink.flush()
