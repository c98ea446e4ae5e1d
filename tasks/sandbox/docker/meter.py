"""What counts a container's CPU time: its control group on this machine, or what its engine says from another one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tasks.sandbox.docker.engine import engine_errors
from tasks.sandbox.metering.groups import meter_of
from tasks.sandbox.metering.models import Meter, MeterName, NoMeter
from tasks.sandbox.metering.processes import ProcessesMeter
from tasks.sandbox.models import SandboxError

if TYPE_CHECKING:
    import docker

SLOWEST_S = 0.05
"""An engine that takes longer for one reading is not asked: a session reads hundreds of times."""

_slow: set[str] = set()


class EngineMeter:
    """See `tasks.sandbox.metering.models.Meter`. What the engine reads from the container's own group, elsewhere.

    Docker 20.10 takes a second for a reading (only the first is quick); newer ones a few milliseconds.
    """

    name: MeterName = "engine"
    resolution_ns = 1000
    complete = True

    def __init__(self, client: docker.DockerClient, container: str) -> None:
        self._client, self._container = client, container

    def read_ns(self) -> int | None:
        """CPU time so far; None once the container has ended, or if the engine does not answer."""
        try:
            with engine_errors():
                told = self._client.api.stats(self._container, stream=False, one_shot=True)
            return int(told["cpu_stats"]["cpu_usage"]["total_usage"]) or None
        except (SandboxError, LookupError, TypeError, ValueError):
            return None

    def processes(self) -> int:
        """0: nobody waits for the engine to tell."""
        return 0

    def is_quick(self) -> bool:
        """Whether it answers, the second time as well, in SLOWEST_S. An engine that did not is not asked again."""
        engine = self._client.api.base_url
        if engine in _slow or self.read_ns() is None:
            return False
        start = time.monotonic()
        if self.read_ns() is None:
            return False
        if time.monotonic() - start > SLOWEST_S:
            _slow.add(engine)
        return engine not in _slow


def container_meter(client: docker.DockerClient, container: str, pid: int | None) -> Meter:
    """The best meter of a container; `pid`: its first process on this machine, None if it runs on another one."""
    if pid is not None:
        return meter_of(pid, marked=container) or ProcessesMeter(pid)
    asked = EngineMeter(client, container)
    return asked if asked.is_quick() else NoMeter()
