"""Doors of the repository's own tests: record which can judge patches, and judge patches by them."""

from __future__ import annotations

from typing import Any

from configs.models import SandboxConfig, SuiteConfig
from storage.store import Store
from tasks.caching import cache_key
from tasks.decorators import stage_task
from tasks.sandbox.models import Arm, SandboxError
from tasks.suites import work
from tasks.suites.models import Checked, Recorded, Reference


def _outside_fault(error: object) -> bool:
    """Retry what the sandbox could not do; what a test comes to is a result."""
    return isinstance(error, SandboxError | OSError)


def _record_key(_: Any, parameters: dict[str, Any]) -> str:
    arms = [parameters["base"].arm_id, parameters["human"].arm_id]
    content = [parameters[name] for name in ("repo", "sha", "functions_changed", "sandbox")]
    seconds = parameters["suite"].record_s
    return cache_key("suites", "record_suite", *content, arms, seconds, services=("sandbox",))


@stage_task(
    _record_key,
    name="record suite",
    run_name="suite of {repo} {sha:.10}",
    tags=["suites"],
    retries=2,
    outside=_outside_fault,
    timeout_s=7200,
)
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


@stage_task(
    _refer_key,
    name="refer suite",
    run_name="suite on {instance_id}",
    tags=["suites"],
    retries=2,
    outside=_outside_fault,
    timeout_s=7200,
)
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


@stage_task(
    _check_key,
    name="check patch",
    run_name="suite of {repo} on {patch.name}",
    tags=["suites"],
    retries=2,
    outside=_outside_fault,
    timeout_s=7200,
)
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
