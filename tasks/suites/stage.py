"""Doors of the repository's own tests: record which can judge patches, and judge patches by them."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.tasks import exponential_backoff

from configs.models import SandboxConfig, SuiteConfig
from storage.store import Store
from tasks.caching import cache_key
from tasks.sandbox.models import Arm, SandboxError
from tasks.suites import work
from tasks.suites.models import Checked, Recorded, Reference


def _outside_fault(_: Any, __: Any, state: Any) -> bool:
    """Retry what the sandbox could not do; what a test comes to is a result."""
    return isinstance(state.result(raise_on_failure=False), SandboxError | OSError)


_RETRIES: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": exponential_backoff(backoff_factor=5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _outside_fault,
    "timeout_seconds": 7200,
    "persist_result": True,
    "result_serializer": "json",
}


def _record_key(_: Any, parameters: dict[str, Any]) -> str:
    arms = [parameters["base"].arm_id, parameters["human"].arm_id]
    content = [parameters[name] for name in ("repo", "sha", "functions_changed", "sandbox")]
    seconds = parameters["suite"].record_s
    return cache_key("suites", "record_suite", *content, arms, seconds, services=("sandbox",))


@task(name="record suite", task_run_name="suite of {sha}", tags=["suites"], cache_key_fn=_record_key, **_RETRIES)
def record_suite(
    repo: str,
    sha: str,
    functions_changed: list[str],
    base: Arm,
    human: Arm,
    suite: SuiteConfig,
    sandbox: SandboxConfig,
    store: str,
) -> Recorded:
    """Find out which of the repository's tests pass on base and on human; a row in `suites`.

    The tests are the human commit's on both sides. A suite that cannot be run is a result, with its reason.
    """
    return work.record_suite(repo, sha, functions_changed, base, human, suite, sandbox, Store(store, run="suites"))


def _refer_key(_: Any, parameters: dict[str, Any]) -> str:
    arms = [parameters["human"].arm_id, parameters["tests_from"].arm_id]
    content = [parameters[name] for name in ("instance_id", "tests", "tests_of_change", "sandbox")]
    return cache_key("suites", "refer_suite", *content, arms, parameters["suite"].check_s, services=("sandbox",))


@task(name="refer suite", task_run_name="suite on {instance_id}", tags=["suites"], cache_key_fn=_refer_key, **_RETRIES)
def refer_suite(
    instance_id: str,
    tests: list[str],
    tests_of_change: int,
    human: Arm,
    tests_from: Arm,
    suite: SuiteConfig,
    sandbox: SandboxConfig,
    store: str,
) -> Reference:
    """Which tests of an instance the human's code passes in this sandbox, how long they take, and what makes them fail.

    `tests_from` is the checkout whose tests, conftest files and settings are used.
    """
    return work.refer_suite(
        instance_id, tests, tests_of_change, human, tests_from, suite, sandbox, Store(store, run="suites")
    )


def _check_key(_: Any, parameters: dict[str, Any]) -> str:
    arms = [parameters["patch"].arm_id, parameters["tests_from"].arm_id]
    content = [parameters[name] for name in ("repo", "reference", "sandbox")]
    return cache_key("suites", "check_patch", *content, arms, parameters["suite"].check_s, services=("sandbox",))


@task(name="check patch", tags=["suites"], cache_key_fn=_check_key, **_RETRIES)
def check_patch(
    repo: str,
    patch: Arm,
    tests_from: Arm,
    reference: Reference,
    suite: SuiteConfig,
    sandbox: SandboxConfig,
    store: str,
) -> Checked:
    """Run the tests that the human's code passes on a patch's code; a row in `suite_checks`."""
    return work.check_patch(repo, patch, tests_from, reference, suite, sandbox, Store(store, run="suites"))
