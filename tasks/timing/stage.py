"""Door of timing."""

from __future__ import annotations

from typing import Any

from prefect import task

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from tasks.caching import cache_key
from tasks.sandbox.models import Arm, SandboxError
from tasks.sandbox.probing import Dialect
from tasks.timing.models import Session
from tasks.timing.session import run_session


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
        parameters["timing"],
        [scoring.min_speedup, scoring.opt_threshold],
        parameters["sandbox"],
        services=("sandbox",),
    )


def _outside_fault(_: Any, __: Any, state: Any) -> bool:
    """Retry what the sandbox could not do; an arm that fails is a result, and a bug stays a bug."""
    return isinstance(state.result(raise_on_failure=False), SandboxError)


@task(
    name="time arms",
    task_run_name="time {test_id} of {repo}",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_jitter_factor=0.5,
    retry_condition_fn=_outside_fault,
    tags=["timing"],
    cache_key_fn=_key,
    persist_result=True,
    result_serializer="json",
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
) -> Session:
    """Time all arms of one instance on one perf test, in one session on this machine.

    `arms` include `base`; `human` and `patch:<patch_id>` where there are any. Appends `measurements`, `comparisons`
    (every arm against base, every patch against human) and the row of this machine. Waits while another session holds
    the cores. An arm that fails, hangs or differs from base is an outcome of the session and not an error.
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
    )
