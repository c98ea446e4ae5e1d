"""Door of timing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from threading import Event, Thread
from typing import Any

import httpx
from prefect import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.exceptions import MissingContextError, ObjectAlreadyExists
from prefect.logging import get_run_logger
from prefect.settings import get_current_settings

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from configs.variables import TEMPORARY_SERVER
from storage.store import Store
from tasks.caching import cache_key
from tasks.decorators import stage_task
from tasks.sandbox.models import Arm, SandboxError
from tasks.sandbox.probe.session import Dialect
from tasks.timing.core_leases import Busy, Reserve
from tasks.timing.holders import told_of_waiting
from tasks.timing.models import Session
from tasks.timing.session import run_session

LEASE_S = 60
"""Seconds after which a slot that nobody renews is free again, by arithmetic of the server's database alone: whatever
is killed or restarted, server, worker or flow, no later session waits longer."""
RENEW_EVERY_S = 15


def _key(_: Any, parameters: dict[str, Any]) -> str:
    """What is timed and how; of scoring only the thresholds, which decide when a session may stop."""
    scoring: ScoringConfig = parameters["scoring"]
    return cache_key(
        "timing",
        "time_arms",
        parameters["repo"],
        parameters["instance_id"],
        sorted([arm.name, arm.arm_id] for arm in parameters["arms"]),
        parameters["test_id"],
        parameters["script"],
        parameters["dialect"],
        parameters["results_compared"],
        parameters["timing"],
        [scoring.min_speedup, scoring.opt_threshold],
        parameters["sandbox"],
        services=("sandbox",),
    )


def _outside_fault(error: object) -> bool:
    """Retry what the sandbox or the server could not do; an arm that fails is a result, and a bug stays a bug."""
    return isinstance(error, SandboxError | httpx.HTTPError)


def _log_waiting(holders: str) -> None:
    with suppress(MissingContextError):
        get_run_logger().info("waits for cores held by %s", holders)


def _reserve() -> Reserve | None:
    """How to take slots from the user's Prefect server; None without one (a temporary one serves one command only)."""
    if os.environ.get(TEMPORARY_SERVER) or not get_current_settings().api.url:
        return None
    return _slots


@contextmanager
def _slots(names: Sequence[str]) -> Iterator[None]:
    """One slot of each global concurrency limit, all or none: raises Busy.

    Limits that are missing are created, with one slot; setting one to 0 in Prefect keeps sessions off that core or GPU.
    Not a lease of Prefect's: its server keeps those in memory, and after a restart their slots would be taken for good.
    """
    for name in names:
        _create(str(get_current_settings().api.url), name)
    with get_client(sync_client=True) as client:
        try:
            client.increment_concurrency_slots(list(names), 1, "concurrency")
        except httpx.HTTPStatusError as error:
            # the second: a limit that the user set to 0 has not even the one that is asked for
            if error.response.status_code in (httpx.codes.LOCKED, httpx.codes.UNPROCESSABLE_ENTITY):
                raise Busy(", ".join(names)) from None
            raise
        renewal = _Renewal(names)
        renewal.start()
        started = time.monotonic()
        try:
            yield
        finally:
            renewal.stop()
            with suppress(httpx.HTTPError):  # without its server the slots end by themselves
                if renewal.holds:
                    client.release_concurrency_slots(list(names), 1, max(time.monotonic() - started, 0.01))


class _Renewal(Thread):
    """Says to the server, as long as it runs, that slots are in use."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(name="renewal of slots", daemon=True)
        self._names, self._over = names, Event()
        self.holds = True
        """False once the slots ran out between two renewals: another session may have taken them."""

    def stop(self) -> None:
        """No renewal follows."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Until it is stopped; a server that is away is asked again."""
        renewed = time.monotonic()
        while not self._over.wait(RENEW_EVERY_S):
            with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
                for name in self._names:
                    client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=1))
                renewed = time.monotonic()
            self.holds = self.holds and time.monotonic() - renewed < LEASE_S


@lru_cache
def _create(server: str, name: str) -> None:
    """A limit of one slot, which decays; one of an earlier release is made so."""
    decay = 1 / LEASE_S
    with get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):
            client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(name=name, limit=1, slot_decay_per_second=decay)
            )
        if client.read_global_concurrency_limit_by_name(name).slot_decay_per_second != decay:
            client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(slot_decay_per_second=decay))


@stage_task(
    _key,
    name="time arms",
    run_name="time {test_id} of {repo}",
    tags=["timing"],
    retries=2,
    wait_s=2,
    outside=_outside_fault,
)
def time_arms(
    repo: str,
    instance_id: str | None,
    arms: list[Arm],
    test_id: str,
    script: str,
    dialect: Dialect,
    timing: TimingConfig,
    scoring: ScoringConfig,
    sandbox: SandboxConfig,
    store: str,
    results_compared: bool = True,
) -> Session:
    """Time all arms of one instance on one perf test, in one session on this machine.

    `arms` include `base`; `human` and `patch:<patch_id>` where there are any. Appends `measurements`, `comparisons`
    (every arm against base, every patch against human) and the rows of the session and of this machine. Waits while
    another session holds the cores; with a Prefect server of the user's also one in another container of this machine.
    An arm that fails, hangs or differs from base is an outcome of the session and not an error. Without
    `results_compared` (the perf test's result says nothing about the work) its arms carry that as a flag.
    """
    with told_of_waiting(_log_waiting):
        return run_session(
            repo=repo,
            instance_id=instance_id,
            arms=arms,
            test_id=test_id,
            script=script,
            dialect=dialect,
            timing=timing,
            scoring=scoring,
            sandbox=sandbox,
            store=Store(store, run="timing"),
            reserve=_reserve(),
            results_compared=results_compared,
        )
