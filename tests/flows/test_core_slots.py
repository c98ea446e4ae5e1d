"""Slots of cores on a user's Prefect server: whoever dies or restarts, they are free again by themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from configs.variables import TEMPORARY_SERVER
from tests.flows.conftest import environment

SCRIPT = r"""
import time

from prefect import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from tasks.timing import stage
from tasks.timing.core_leases import Busy

stage.LEASE_S, stage.RENEW_EVERY_S = 6, 1
names = ["core-a", "core-b"]


def is_free(wanted=names):
    try:
        with stage._slots(wanted):
            return True
    except Busy:
        return False


def wait_until_free(wanted):
    deadline = time.monotonic() + 60
    while not is_free(wanted):
        assert time.monotonic() < deadline, "nobody holds it, and it is not free"
        time.sleep(0.5)


with get_client(sync_client=True) as client:
    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="core-old", limit=1, active_slots=1))
    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="core-shut", limit=0))
    with stage._slots(names):
        until = time.monotonic() + 1.2 * stage.LEASE_S
        while time.monotonic() < until:
            assert not is_free() and not is_free(names[1:]), "a holder that lives renews"
            time.sleep(1)
    assert is_free(), "given back at the end"
    client.increment_concurrency_slots(names, 1, "concurrency")  # by a holder that was killed
    assert not is_free()
    wait_until_free(names)
    assert not is_free(["core-old"]), "taken when a server of an earlier release lost its leases"
    wait_until_free(["core-old"])
    assert not is_free(["core-shut"]), "shut by the user"
print("held")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_slots_outlive_nobody(server: dict[str, str]) -> None:
    variables = environment() | server | {"PREFECT_LOGGING_LEVEL": "CRITICAL"}
    del variables[TEMPORARY_SERVER]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=Path(__file__).parents[2], env=variables, capture_output=True, text=True,
        timeout=380, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["held"], done.stdout[-1000:] + done.stderr[-3000:]
