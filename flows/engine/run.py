"""What every flow shares: where results are cached, how a door is mapped over items, and the funnel it leaves."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from prefect.artifacts import create_table_artifact
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectConcurrentFuture
from prefect.states import State
from prefect.tasks import Task
from pydantic import BaseModel

from configs.escaping import for_markdown
from configs.variables import TEMPORARY_SERVER
from flows.engine.funnel import FunnelBook, Outcome
from flows.engine.progress import Meter, Parts, slug, watching
from flows.engine.results import ResultJson, StoreResults
from flows.engine.retrying import Retry
from storage.ids import content_hash
from storage.marks import KEY_VARIABLE
from storage.store import Store
from storage.tables import Funnel
from tasks.llm import WAITING, Waiting, calls, stopping
from tasks.progress import heard_by
from tasks.reporting.stage import write_report

T = TypeVar("T", bound=BaseModel)

# Prefect warns once per task that a thread cannot be interrupted; our sandboxes and clients keep their own time limits.
logging.getLogger("prefect.task_runs").addFilter(
    lambda record: not str(record.msg).startswith("Timeout of %s seconds configured")
)

_under_way: ContextVar[Run | None] = ContextVar("run", default=None)


class Run:
    """One run of a flow on one store: maps doors over items, counts what was cached, keeps the funnel.

    A failing item is recorded as `failed` in the funnel and does not stop the others.
    """

    def __init__(self, store: Store, run_id: str, retry: Retry | None = None) -> None:
        self.store = store
        self.run_id = run_id
        self.funnel = FunnelBook(store, run_id)
        self.executed = 0
        self.cached = 0
        self.missing: list[str] = []
        """What was wanted and was not made at all, each with the reason."""
        self.memory: dict[str, Any] = {}
        """What stages of this process need not find out again, such as arms that are checked out."""
        self._retry = retry or Retry()
        self._storage = _result_storage(store)
        if os.environ.get(TEMPORARY_SERVER):  # every change of a task's state is an event, for a UI that nobody opens
            EventsWorker.set_client_override(NullEventsClient)

    @contextmanager
    def entered(self) -> Iterator[Run]:
        """Stages that are called inside belong to this run; at the end it is closed."""
        token = _under_way.set(self)
        try:
            yield self
        finally:
            _under_way.reset(token)
            self.close()

    @staticmethod
    def under_way(store: Store, run_id: str) -> Run | None:
        """The run that calls, if it is that one."""
        run = _under_way.get()
        return run if run is not None and (run.store.root, run.run_id) == (store.root, run_id) else None

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
        with _shown_if_long(stage):
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
        owner: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, T]:
        """Run a door for every item: key -> its arguments. Returns key -> result, without what failed or waits.

        A remembered result is made again if `stale` is true for it (it names a folder or an image that is gone) or the
        user asked for that (`--retry`); `owner` says which commit or instance a key belongs to. `tags`: of single
        items, beside the door's, for limits of the user's Prefect server.
        """
        refreshed = {
            key for key, arguments in items.items()
            if self._retry.wants(stage, key, arguments, self.funnel.row(stage, key), owner.get(key, ""))
        }  # fmt: skip
        door, tags = self.door(task), tags or {}
        fresh = door.with_options(refresh_cache=True)
        doors = {key: fresh if key in refreshed else door for key in items}
        results, cached = self._submit(stage, doors, items, repo, tags)
        gone = {key: items[key] for key in cached if stale and stale(results[key])}
        again, _ = self._submit(stage, dict.fromkeys(gone, fresh), gone, repo, tags)
        return {key: result for key, result in results.items() if key not in gone} | again

    def _submit(
        self,
        stage: str,
        doors: Mapping[str, Task[..., T]],
        items: Mapping[str, Mapping[str, Any]],
        repo: str,
        tags: Mapping[str, Iterable[str]],
    ) -> tuple[dict[str, T], set[str]]:
        """(Key -> result, keys whose result the cache held)."""
        if not items:
            return {}, set()
        meter = Meter(stage, len(items))
        results: dict[str, T] = {}
        cached: set[str] = set()
        with watching(stage, len(items)) as advance:
            futures: dict[str, PrefectConcurrentFuture[T]] = {}
            parts = Parts(advance, meter)
            with heard_by(parts.tell) if len(items) == 1 else nullcontext():
                for key, arguments in items.items():
                    door = doors[key]
                    one = door.with_options(tags={*door.tags, *tags[key]}) if key in tags and door.tags else door
                    future = one.submit(**arguments, store=self.store.root)
                    future.add_done_callback(lambda _: parts.step())
                    futures[key] = future
            for key, future in futures.items():
                _wait_for(future)
                state = future.state
                if self._count(state):
                    cached.add(key)
                if state.is_completed():
                    results[key] = future.result()
                elif isinstance(state.result(raise_on_failure=False), Waiting):
                    self.note(stage, key, "waiting", WAITING, repo=repo)
                else:
                    self.note(stage, key, "failed", _why(state), repo=repo)
                meter.step()
        meter.finish()
        return results, cached

    def note(
        self, stage: str, key: str, outcome: Outcome, reason: str = "", *, repo: str = "", made: Sequence[str] = ()
    ) -> None:
        """Record what a stage did with an item; the last word on an item in a stage counts."""
        self.funnel.note(stage, key, outcome, reason, repo, made)

    def failures(self) -> dict[str, str]:
        """`stage key` -> reason of every item that met a fault."""
        return self.funnel.failures()

    def waiting(self) -> int:
        """Items whose request to a model is open for a batch."""
        return sum(row.outcome == "waiting" for row in self.rows())

    def rows(self) -> list[Funnel]:
        """The funnel so far."""
        return self.funnel.rows()

    def close(self) -> None:
        """Write calls that wait, and of the funnel the rows that are new or changed since an earlier run of its id."""
        self.funnel.write()
        calls.flush(self.store)
        if count := self._storage.not_believed():
            warnings.warn(
                f"{count} results in {self.store.cache} do not carry your mark: they came with the store, or another "
                f"user wrote them. They were not used, and what they held was done again (docs/how-to/cache.md says "
                f"how to share a cache: {KEY_VARIABLE})",
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
            key=slug(key),
            description=for_markdown(description),
        )

    def _count(self, state: State[Any]) -> bool:
        """Count it; whether the cache held it."""
        cached = state.name == "Cached"
        if cached:
            self.cached += 1
        else:
            self.executed += 1
        return cached


@contextmanager
def _shown_if_long(stage: str) -> Iterator[None]:
    parts: Parts | None = None
    meter = Meter(stage, 1)
    with ExitStack() as shown:

        def tell(done: int, total: int) -> None:
            nonlocal parts
            parts = parts or Parts(shown.enter_context(watching(stage, 1)), meter)
            parts.tell(done, total)

        with heard_by(tell):
            yield
        if parts is not None:
            meter.step()
            meter.finish()


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
