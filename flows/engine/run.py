"""What every flow shares: where results are cached, how a door is mapped over items, and the funnel it leaves."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.exceptions import MissingContextError
from prefect.futures import PrefectConcurrentFuture
from prefect.logging import get_run_logger
from prefect.states import State
from prefect.tasks import Task
from pydantic import BaseModel

from configs.escaping import for_markdown
from configs.variables import TEMPORARY_SERVER
from flows.engine.results import ResultJson, StoreResults
from storage.ids import content_hash
from storage.marks import KEY_VARIABLE
from storage.store import Store
from storage.tables import Funnel
from tasks.llm import WAITING, Waiting, calls, stopping
from tasks.progress import heard_by
from tasks.reporting.stage import write_report

T = TypeVar("T", bound=BaseModel)


class Advance(Protocol):
    """Says that something was done."""

    def __call__(self, done: int | None = None, total: int | None = None) -> None:
        """One more item; or, of the only item, `done` of `total`."""


class Progress(Protocol):
    """Somebody who watches a run. The command line draws bars; the default says nothing."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """A stage of `total` items begins; call the returned function once per finished item (from any thread).

        Of a stage with one item: or with how much of it is done and how much there is, as often as that is known.
        """


# Prefect warns once per task that a thread cannot be interrupted; our sandboxes and clients keep their own time limits.
logging.getLogger("prefect.task_runs").addFilter(
    lambda record: not str(record.msg).startswith("Timeout of %s seconds configured")
)

METER_EVERY_S = 2.0
"""How often the progress of a stage is published."""
LOG_EVERY_S = 15.0
"""How often the progress of a long item is written to the log of its task run."""

_watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(progress: Progress) -> Iterator[None]:
    """Flows that are called inside report their stages to `progress`."""
    token = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(token)


class Run:
    """One run of a flow on one store: maps doors over items, counts what was cached, keeps the funnel.

    A failing item is recorded as `failed` in the funnel and does not stop the others.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self.executed = 0
        self.cached = 0
        self.missing: list[str] = []
        """What was wanted and was not made at all, each with the reason."""
        self._funnel: dict[tuple[str, str], Funnel] = {}
        self._written: dict[tuple[str, str], Funnel] | None = None
        self._storage = _result_storage(store)
        if os.environ.get(TEMPORARY_SERVER):  # every change of a task's state is an event, for a UI that nobody opens
            EventsWorker.set_client_override(NullEventsClient)

    def door(self, task: Task[..., Any]) -> Task[..., Any]:
        """The door with its results kept in this store's cache."""
        door = task.with_options(result_storage=self._storage, persist_result=True, result_serializer=ResultJson())
        if os.environ.get(TEMPORARY_SERVER):
            door.tags = set()  # each tag asks the server for limits; a temporary one has none, and SQLite makes it wait
        return door

    def call(
        self,
        stage: str,
        task: Task[..., T],
        *,
        repo: str = "",
        stale: Callable[[T], bool] | None = None,
        **arguments: Any,
    ) -> T | None:
        """Run one door once. Returns None after a fault, which stands in the funnel under the stage's own name."""
        return self.map(stage, task, {stage: arguments}, repo=repo, stale=stale).get(stage)

    def must(self, stage: str, task: Task[..., T], *, stale: Callable[[T], bool] | None = None, **arguments: Any) -> T:
        """Run one door without which the flow cannot go on: its error is the flow's.

        It is shown as a stage if it takes so long that it tells how far it is.
        """
        door = self.door(task)
        with self._shown_if_long(stage):
            state = door(**arguments, store=self.store.root, return_state=True)
            self._count(state)
            result = state.result()
            if stale and stale(result):
                result = door.with_options(refresh_cache=True)(**arguments, store=self.store.root)
        return result

    def map(
        self,
        stage: str,
        task: Task[..., T],
        items: Mapping[str, Mapping[str, Any]],
        *,
        repo: str = "",
        stale: Callable[[T], bool] | None = None,
        tags: Mapping[str, Iterable[str]] | None = None,
    ) -> dict[str, T]:
        """Run a door for every item: key -> its arguments. Returns key -> result, without what failed or waits.

        A cached result for which `stale` is true (it names a folder or an image that is gone) is made again. `tags`:
        of single items, beside the door's, for limits of the user's Prefect server.
        """
        results = self._submit(stage, self.door(task), items, repo, tags or {})
        gone = {key: items[key] for key, result in results.items() if stale and stale(result)}
        return results | self._submit(stage, self.door(task).with_options(refresh_cache=True), gone, repo)

    def _submit(
        self,
        stage: str,
        door: Task[..., T],
        items: Mapping[str, Mapping[str, Any]],
        repo: str,
        tags: Mapping[str, Iterable[str]] = MappingProxyType({}),
    ) -> dict[str, T]:
        if not items:
            return {}
        meter = _Meter(stage, len(items))
        results: dict[str, T] = {}
        with self._watch(stage, len(items)) as advance:
            futures: dict[str, PrefectConcurrentFuture[T]] = {}
            parts = _Parts(advance, meter)
            with heard_by(parts.tell) if len(items) == 1 else nullcontext():
                for key, arguments in items.items():
                    one = door.with_options(tags={*door.tags, *tags[key]}) if key in tags and door.tags else door
                    future = one.submit(**arguments, store=self.store.root)
                    future.add_done_callback(lambda _: parts.step())
                    futures[key] = future
            for key, future in futures.items():
                _wait_for(future)
                state = future.state
                self._count(state)
                if state.is_completed():
                    results[key] = future.result()
                elif isinstance(state.result(raise_on_failure=False), Waiting):
                    self.note(stage, key, "waiting", WAITING, repo=repo)
                else:
                    self.note(stage, key, "failed", _why(state), repo=repo)
                meter.step()
        meter.finish()
        return results

    def note(
        self,
        stage: str,
        key: str,
        outcome: Literal["kept", "dropped", "failed", "waiting"],
        reason: str = "",
        *,
        repo: str = "",
    ) -> None:
        """Record what a stage did with an item; the last word on an item in a stage counts."""
        row = Funnel(run_id=self.run_id, stage=stage, key=key, repo=repo, outcome=outcome, reason=reason)
        self._funnel[(stage, key)] = row

    def failures(self) -> dict[str, str]:
        """`stage key` -> reason of every item that met a fault."""
        return {f"{row.stage} {row.key}": row.reason for row in self._funnel.values() if row.outcome == "failed"}

    def waiting(self) -> int:
        """Items whose request to a model is open for a batch."""
        return sum(row.outcome == "waiting" for row in self._funnel.values())

    def rows(self) -> list[Funnel]:
        """The funnel so far."""
        return list(self._funnel.values())

    def close(self) -> None:
        """Write calls that wait, and of the funnel the rows that are new or changed since an earlier run of its id."""
        if self._written is None:
            self._written = {(row.stage, row.key): row for row in self.store.rows(Funnel, run_id=self.run_id)}
        new = {key: row for key, row in self._funnel.items() if self._written.get(key) != row}
        self.store.append(new.values())
        self._written |= new
        calls.flush(self.store)
        if count := self._storage.not_believed():
            warnings.warn(
                f"{count} results in {self.store.cache} do not carry your mark: they came with the store, or another "
                f"user wrote them. They were not used, and what they held was done again (docs/how-to.md says how to "
                f"share a cache: {KEY_VARIABLE})",
                stacklevel=2,
            )

    def publish_report(self) -> None:
        """Bring the page `<store>/report/index.html` up to date, of a store that is a folder."""
        self.close()  # the page shows the funnel
        if self.store.is_local:
            self.call("report", write_report, out="report", stale=lambda report: report.is_gone(self.store.root))

    def publish_table(self, key: str, rows: list[dict[str, Any]], description: str) -> None:
        """Publish a table artifact, for the Prefect UI, which reads texts in cells as Markdown."""
        create_table_artifact(
            table=[{name: _cell(value) for name, value in row.items()} for row in rows],
            key=_slug(key),
            description=for_markdown(description),
        )

    def _count(self, state: State[Any]) -> None:
        if state.name == "Cached":
            self.cached += 1
        else:
            self.executed += 1

    @contextmanager
    def _shown_if_long(self, stage: str) -> Iterator[None]:
        parts: _Parts | None = None
        meter = _Meter(stage, 1)
        with ExitStack() as shown:

            def tell(done: int, total: int) -> None:
                nonlocal parts
                parts = parts or _Parts(shown.enter_context(self._watch(stage, 1)), meter)
                parts.tell(done, total)

            with heard_by(tell):
                yield
            if parts is not None:
                meter.step()
                meter.finish()

    def _watch(self, stage: str, total: int) -> AbstractContextManager[Advance]:
        progress = _watcher.get()
        return progress.stage(stage, total) if progress else nullcontext(lambda done=None, total=None: None)


class _Parts:
    """Progress of a stage by its items; by the parts of the only item once that tells of them."""

    def __init__(self, advance: Advance, meter: _Meter) -> None:
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


class _Meter:
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
                key=_slug(f"{self._stage}-progress"),
                description=for_markdown(f"{self._stage}: items done"),
            )
        else:
            update_progress_artifact(self._artifact, progress)


def _result_storage(store: Store) -> StoreResults:
    """A saved block, which Prefect demands; its name comes from the root so that stores do not share it."""
    block = StoreResults(root=store.cache)
    block.save(f"isobench-{content_hash(store.root)}", overwrite=True)
    return block


def _wait_for(future: PrefectConcurrentFuture[Any]) -> None:
    try:
        # a signal may reach another thread, and then only a wait that ends lets this one see it
        while not future.wrapped_future.done():
            future.wait(timeout=0.5)
        future.wait()
    except KeyboardInterrupt:
        stopping.stop()  # before all else: other items would go on asking a model while this run ends
        raise


def _why(state: State[Any]) -> str:
    error = state.result(raise_on_failure=False)
    if isinstance(error, BaseException):
        return f"{type(error).__name__}: {error}"
    return state.message or str(state.name)


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float)) else for_markdown(value)


def _slug(text: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in text.lower())


def first_few(reasons: Iterable[str], limit: int = 5) -> str:
    """The first few reasons as one line, with how many were left out."""
    found = list(reasons)
    more = f" (and {len(found) - limit} more)" if len(found) > limit else ""
    return "; ".join(found[:limit]) + more
