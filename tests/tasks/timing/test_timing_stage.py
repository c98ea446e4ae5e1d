"""The door: what its cache key is made of, and what it retries."""

import pytest
from prefect.states import Failed

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from tasks.sandbox.models import Arm, Environment, SandboxError
from tasks.timing.stage import time_arms

ENVIRONMENT = Environment(env_id="e", kind="local", python="/env/bin/python")


def arm(name: str, arm_id: str = "1", checkout: str = "c") -> Arm:
    return Arm(name=name, arm_id=arm_id, checkout=checkout, environment=ENVIRONMENT)


PARAMETERS = {
    "repo": "a/b", "instance_id": None, "arms": [arm("base"), arm("human", "2")], "test_id": "t", "script": "x = 1",
    "dialect": "isobench", "timing": TimingConfig(), "scoring": ScoringConfig(), "sandbox": SandboxConfig(),
    "store": "/s", "results_compared": True,
}  # fmt: skip


def key(**changes: object) -> str | None:
    assert time_arms.cache_key_fn is not None
    return time_arms.cache_key_fn(None, {**PARAMETERS, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "same",
    [
        {"store": "/elsewhere"},
        {"arms": PARAMETERS["arms"][::-1]},
        {"arms": [arm("base", checkout="moved"), arm("human", "2")]},
        {"scoring": ScoringConfig(max_tests=5)},
    ],
)
def test_paths_order_and_what_timing_does_not_use_leave_the_key(same):
    assert key(**same) == key()


@pytest.mark.parametrize(
    "other",
    [
        {"script": "x = 2"},
        {"arms": [arm("base"), arm("human", "3")]},
        {"timing": TimingConfig(max_rounds=61)},
        {"scoring": ScoringConfig(min_speedup=1.5)},
        {"sandbox": SandboxConfig(memory_mb=100)},
        {"instance_id": "i"},
        {"results_compared": False},
    ],
)
def test_content_changes_the_key(other):
    assert key(**other) != key()


@pytest.mark.parametrize(("error", "again"), [(SandboxError("no engine"), True), (ValueError("a bug"), False)])
def test_only_the_sandboxs_faults_are_tried_again(error, again):
    assert time_arms.retry_condition_fn is not None
    assert time_arms.retry_condition_fn(time_arms, None, Failed(data=error)) is again  # type: ignore[arg-type]
