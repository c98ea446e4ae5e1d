"""What all doors have in common: results that are kept by content, and faults of the outside world tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.tasks import exponential_backoff

P = ParamSpec("P")
R = TypeVar("R")

Key = Callable[[Any, dict[str, Any]], str | None]
"""Makes the cache key of a door's arguments; None where nothing may be remembered."""
IsOutside = Callable[[object], bool]
"""Whether an error is a fault of machine, network or service, which may be gone the next time."""


def stage_task(
    key: Key,
    *,
    name: str,
    run_name: str,
    tags: Sequence[str] = (),
    retries: int = 0,
    wait_s: float = 5,
    outside: IsOutside | None = None,
    timeout_s: float | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A door of a stage: a Prefect task whose result is kept under `key` and read back as it was.

    `run_name` is a format string over the arguments, such as `time {test_id}`. An `outside` fault is tried again up to
    `retries` times, after `wait_s` seconds and then after twice as long each time. What raises is never kept: only what
    the door returns is a result.
    """
    return task(
        name=name,
        task_run_name=run_name,
        tags=list(tags),
        cache_key_fn=key,
        persist_result=True,
        result_serializer="json",
        retries=retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=wait_s),
        retry_jitter_factor=0.5,
        retry_condition_fn=None if outside is None else _of_state(outside),
        timeout_seconds=timeout_s,
    )


def _of_state(outside: IsOutside) -> Callable[[Any, Any, Any], bool]:
    return lambda _, __, state: outside(state.result(raise_on_failure=False))
