"""Turns between the workers of a test run (pytest-xdist): who runs beside whom.

A test marked `exclusive` runs while no other does: it compares times that it measures. One marked `quiet` takes half
of the room: of three workers, one other works beside it. It measures, too, and what it asserts bears more. Tests of
both kinds come last, so that workers wait for one another as little as can be.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Literal

import pytest

_CHECKOUT = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:12]
_POLL_S = 0.02

_SEATS = 12
"""What the room holds: a number that two, three and four workers can share."""

Kind = Literal["exclusive", "quiet", "other"]
"""How much of the room a test takes: all, half, its worker's share."""


def seats(kind: Kind, workers: int) -> int:
    """How many seats of the room."""
    share = max(_SEATS // workers, 1)
    return {"exclusive": _SEATS, "quiet": max(_SEATS // 2, share), "other": share}[kind]


def part_of_room(kind: Kind, workers: int) -> float:
    """The same as a share, between 0 and 1."""
    return seats(kind, workers) / _SEATS


def _locked(name: str, wait: bool) -> IO[str] | None:
    """A lock that the workers of this checkout share, held until it is given back; None if another has it."""
    file = (Path(tempfile.gettempdir()) / f"isobench-tests-{_CHECKOUT}-{name}.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _give_back(file: IO[str]) -> None:
    fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough where a child holds the file too
    file.close()


@contextmanager
def turn(kind: Kind) -> Iterator[None]:
    """Wait until this test may run. Without workers there is nobody to wait for."""
    with ExitStack() as held:
        if "PYTEST_XDIST_WORKER" in os.environ:
            workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "2"))
            gate = _locked("gate", wait=True)  # who waits for seats keeps it shut, or others never leave enough
            assert gate is not None
            try:
                _take(seats(kind, workers), held)
            finally:
                _give_back(gate)
        yield


def _take(number: int, held: ExitStack) -> None:
    """Take so many seats, one after the other as they become free."""
    free = list(range(_SEATS))
    while number:
        for seat in free:
            if number and (file := _locked(f"seat-{seat}", wait=False)):
                held.callback(_give_back, file)
                number -= 1
                free = [other for other in free if other != seat]
        if number:
            time.sleep(_POLL_S)


def kind_of(item: pytest.Item) -> Kind:
    """By its marks."""
    if item.get_closest_marker("exclusive"):
        return "exclusive"
    return "quiet" if item.get_closest_marker("quiet") else "other"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around everything, so that no time limit counts the wait and fixtures are made within."""
    with turn(kind_of(item)):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files of quiet tests last, and after them those of exclusive ones: workers get files in this order."""
    order = ("other", "quiet", "exclusive")
    ranks: dict[Path, list[int]] = defaultdict(list)
    for item in items:
        ranks[item.path].append(order.index(kind_of(item)))
    middle = {path: sorted(found)[len(found) // 2] for path, found in ranks.items()}
    items.sort(key=lambda item: middle[item.path])
