"""How far the stages of a run are: for a watching person, for Prefect's page, for the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import Any, Protocol

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from configs.escaping import for_markdown

METER_EVERY_S = 2.0
"""How often the progress of a stage is published."""
LOG_EVERY_S = 15.0
"""How often the progress of a long item is written to the log of its task run."""


class Advance(Protocol):
    """Says that something was done."""

    def __call__(self, done: int | None = None, total: int | None = None) -> None:
        """One more item; or, of the only item, `done` of `total`."""


class Progress(Protocol):
    """A watcher of a run. The command line's draws bars; the default says nothing."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """A stage of `total` items begins; call the returned function once per finished item (from any thread).

        Of a stage with one item: or with how much of it is done and how much there is, as often as that is known.
        """


_watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(progress: Progress) -> Iterator[None]:
    """Flows that are called inside report their stages to `progress`."""
    token = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(token)


def watching(stage: str, total: int) -> AbstractContextManager[Advance]:
    """What the watcher shows of a stage."""
    progress = _watcher.get()
    return progress.stage(stage, total) if progress else nullcontext(lambda done=None, total=None: None)


class Parts:
    """Progress of a stage by its items; by the parts of the only item once that tells of them."""

    def __init__(self, advance: Advance, meter: Meter) -> None:
        self._advance, self._meter = advance, meter
        self._told = False

    def tell(self, done: int, total: int) -> None:
        """So much of the only item is done."""
        self._told = True
        self._advance(done, total)
        self._meter.tell(done, total)

    def step(self) -> None:
        """An item is done."""
        if not self._told:
            self._advance()


class Meter:
    """Progress of a stage as a Prefect artifact, from its third second on: one call to the server takes 50 ms."""

    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total = stage, total
        self._done = 0.0
        self._artifact: Any = None
        self._next = time.monotonic() + METER_EVERY_S
        self._next_line = self._next

    def step(self) -> None:
        """One more item is done."""
        self._done += 1
        self._due()

    def tell(self, done: int, total: int) -> None:
        """So much of the only item is done; that all of it is, the item itself says."""
        if done < total:
            self._log(done, total)
            self._done = done / total
            self._due()
            self._done = 0

    def _log(self, done: int, total: int) -> None:
        if time.monotonic() < self._next_line:
            return
        self._next_line = time.monotonic() + LOG_EVERY_S
        with suppress(MissingContextError):  # told from a thread that belongs to no run
            get_run_logger().info("%s: %s of %s", self._stage, f"{done:,}", f"{total:,}")

    def _due(self) -> None:
        if time.monotonic() >= self._next:
            self._publish()
            self._next = time.monotonic() + METER_EVERY_S

    def finish(self) -> None:
        """All are done."""
        if self._artifact is not None:
            self._publish()

    def _publish(self) -> None:
        progress = 100.0 * self._done / self._total
        if self._artifact is None:
            self._artifact = create_progress_artifact(
                progress,
                key=slug(f"{self._stage}-progress"),
                description=for_markdown(f"{self._stage}: items done"),
            )
        else:
            update_progress_artifact(self._artifact, progress)


def slug(text: str) -> str:
    """A text as Prefect wants keys of artifacts."""
    return "".join(char if char.isalnum() else "-" for char in text.lower())
