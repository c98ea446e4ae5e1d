"""A worker process: judges the ranges of history that come over its standard input, until that ends.

Messages are pickles between a process and the child that it started: first a `Setup`, then any number of `Range`s; each
is answered by batches of rows and `None`, or by the text of the MiningError that ended it.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tasks.mining.errors import MiningError
from tasks.mining.gitio import open_repository
from tasks.mining.history import Inner
from tasks.mining.judging import Judge, Row
from tasks.mining.rules import Rules

BATCH_ROWS = 100
BATCH_BYTES = 4 << 20
"""Patch text in one message: what waits in memory on either side."""


@dataclass(frozen=True)
class Setup:
    """What a worker has to know before the first range."""

    clone: Path
    name: str
    """`owner/name`."""
    rules: Rules
    version: str
    """As the rows name it."""


@dataclass(frozen=True)
class Range:
    """Changes that follow each other, and what merges among them brought in."""

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


def main() -> None:
    """Serve the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)  # syntax trees are many small objects and no garbage: look for it seldom
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not break the protocol
    try:
        setup: Setup = pickle.load(source)
        with open_repository(setup.clone) as repo, Judge(repo, setup.name, setup.rules, setup.version) as judge:
            while True:
                job: Range = pickle.load(source)
                try:
                    for batch in batches(judge.rows(job.shas, job.inner)):
                        pickle.dump(batch, answers, pickle.HIGHEST_PROTOCOL)
                        answers.flush()
                    pickle.dump(None, answers)
                except MiningError as error:
                    pickle.dump(str(error), answers)
                answers.flush()
    except (EOFError, BrokenPipeError):
        # the parent is done, or gone: nobody reads what is left
        os._exit(0)
