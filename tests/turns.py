"""Turns between the workers of a test run (pytest-xdist): a test marked `exclusive` runs while no other does.

Such tests compare times that they measure. They come last, so that workers wait for one another as little as can be.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_CHECKOUT = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:12]


@contextmanager
def _locked(name: str, how: int) -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"isobench-tests-{_CHECKOUT}-{name}.lock").open("a") as file:
        fcntl.flock(file, how)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough where a child holds the file too


@contextmanager
def turn(exclusive: bool) -> Iterator[None]:
    """Wait until this test may run. Without workers there is nobody to wait for."""
    with ExitStack() as held:
        if "PYTEST_XDIST_WORKER" in os.environ:
            # Who waits for the room keeps the gate shut, or others never let it in.
            with _locked("gate", fcntl.LOCK_EX):
                held.enter_context(_locked("room", fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH))
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around everything, so that no time limit counts the wait and fixtures are made within."""
    with turn(exclusive=item.get_closest_marker("exclusive") is not None):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with exclusive tests last: workers get files in this order."""
    last = {item.path for item in items if item.get_closest_marker("exclusive")}
    items.sort(key=lambda item: item.path in last)
