"""The threads that the items of a stage run in."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

from prefect.task_runners import ThreadPoolTaskRunner


class Workers(ThreadPoolTaskRunner[Any]):
    """Items side by side, as many as there are cores. Timing sessions queue up by themselves.

    After Ctrl-C items under way are not waited for: finished work is in the store, the rest is done again.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers or max(2, os.cpu_count() or 2))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt) and self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        super().__exit__(exc_type, exc_value, traceback)


def task_runner(max_workers: int | None = None) -> Any:
    """The flows' runner. Prefect's types know no runner that is narrower than its base."""
    return Workers(max_workers)
