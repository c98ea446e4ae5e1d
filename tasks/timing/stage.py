"""Door of timing."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from typing import Any

import httpx
from prefect import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import get_current_settings

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from configs.variables import TEMPORARY_SERVER
from storage.store import Store
from tasks.caching import cache_key
from tasks.decorators import stage_task
from tasks.sandbox.models import Arm, SandboxError
from tasks.sandbox.probe.session import Dialect
from tasks.timing.core_leases import Busy, Reserve
from tasks.timing.models import Session
from tasks.timing.session import run_session

LEASE_S = 60
"""A slot is leased for the least that Prefect grants and renewed while it is held. A killed holder's is free again when
the lease has run out and the server has noticed, which it looks for every 15 s."""

# Prefect logs each refusal as an error, and we ask twice a second; what is really wrong is raised to us as well.
logging.getLogger("prefect._internal.concurrency").addFilter(
    lambda record: "ConcurrencySlotAcquisitionWithLeaseService" not in record.getMessage()
)


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


def _reserve() -> Reserve | None:
    """How to take slots from the user's Prefect server; None without one (a temporary one serves one command only)."""
    if os.environ.get(TEMPORARY_SERVER) or not get_current_settings().api.url:
        return None
    return _slots


@contextmanager
def _slots(names: Sequence[str]) -> Iterator[None]:
    """One slot of each global concurrency limit, all or none: raises Busy.

    Limits that are missing are created, with one slot; setting one to 0 in Prefect keeps sessions off that core or GPU.
    """
    for name in names:
        _create(str(get_current_settings().api.url), name)
    held = concurrency(
        list(names), max_retries=0, lease_duration=LEASE_S, strict=True, raise_on_lease_renewal_failure=False
    )
    try:
        held.__enter__()
    except Exception as error:
        cause = error.__cause__
        if not isinstance(cause, httpx.HTTPError):
            raise
        if isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == httpx.codes.LOCKED:
            raise Busy(", ".join(names)) from None
        raise cause from error
    with ExitStack() as stack:
        stack.push(held.__exit__)
        yield


@lru_cache
def _create(server: str, name: str) -> None:
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


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
