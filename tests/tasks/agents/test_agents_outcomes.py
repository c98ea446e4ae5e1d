"""The status of an attempt: from its diff, the gateway and our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.agents.gateway.models import Fault, Usage
from tasks.agents.outcomes import Asked, outcome_of
from tasks.agents.patches import TakenPatch
from tasks.agents.running import Ended

EARLY, LATE = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
JUST = LATE - timedelta(seconds=30)
PATCH, NONE = TakenPatch(patch="diff", files=1), TakenPatch(patch="", files=0)
WELL, BADLY = Ended("itself", 0, 5.0), Ended("itself", 1, 5.0, b"Traceback\nValueError: no\n")
ANSWERED = Usage(requests=3)


def fault(kind: str, last: datetime, **more: Any) -> Fault:
    return Fault.model_validate({"kind": kind, "first": EARLY, "last": last, **more})


@pytest.mark.parametrize(
    ("ended", "taken", "asked", "denied", "status", "reason"),
    [
        (WELL, PATCH, Asked(ANSWERED), 0, "submitted", ""),
        (BADLY, PATCH, Asked(ANSWERED), 0, "submitted", "it ended with exit code 1: ValueError: no"),
        (WELL, NONE, Asked(ANSWERED), 0, "empty_patch", "nothing was changed (it says: success)"),
        (WELL, NONE, Asked(ANSWERED), 2, "refused", "the agent itself denied 2 tool calls, and nothing was changed"),
        (WELL, PATCH, Asked(ANSWERED), 2, "submitted", ""),
        (BADLY, NONE, Asked(ANSWERED), 0, "crashed", "it ended with exit code 1: ValueError: no"),
        (Ended("clock", None, 7200.0), PATCH, Asked(ANSWERED), 0, "timeout", "still at work after 120 minutes"),
        (Ended("memory", None, 5.0), PATCH, Asked(ANSWERED), 0, "crashed", "ended: it took more memory than it may"),
        (WELL, PATCH, Asked(ANSWERED, "budget: 1.00 USD spent"), 0, "budget", "1.00 USD spent"),
        (Ended("clock", None, 60.0), NONE, Asked(ANSWERED, "budget: 9 tokens"), 0, "budget", "9 tokens"),
        (BADLY, NONE, Asked(faults=[fault("unreachable", LATE, count=9)]), 0, "model_unreachable",
         "9 x unreachable, and no answer at all"),
        (Ended("clock", None, 60.0), NONE, Asked(ANSWERED, None, [fault("hang", LATE)], EARLY), 0,
         "model_unreachable", "1 x hang"),
        # had answers until half a minute before its time was up
        (Ended("clock", None, 600.0), PATCH, Asked(ANSWERED, None, [fault("cut", LATE)], JUST), 0,
         "timeout", "still at work after 10 minutes"),
        (WELL, PATCH, Asked(faults=[fault("cut", LATE)]), 0, "model_unreachable", "1 x cut, and no answer at all"),
        # the last thing that it wanted of a model, a title, say: it had done its work
        (WELL, PATCH, Asked(ANSWERED, None, [fault("server_error", LATE, status=500)], EARLY), 0, "submitted", ""),
        # the model came back
        (WELL, NONE, Asked(ANSWERED, None, [fault("rate_limited", EARLY, status=429)], LATE), 0, "empty_patch",
         "nothing was changed (it says: success)"),
        (BADLY, NONE, Asked(faults=[fault("rejected", LATE, status=401, detail="wrong key")]), 0, "refused",
         "the provider refuses: 1 x rejected (401): wrong key"),
        (BADLY, NONE, Asked(refused=["statsig.example.org:443"]), 0, "refused",
         "it asked for what is not allowed: statsig.example.org:443"),
    ],
)  # fmt: skip
def test_status_and_reason(
    ended: Ended, taken: TakenPatch, asked: Asked, denied: int, status: str, reason: str
) -> None:
    assert outcome_of(ended, taken, asked, denied, "success") == (status, reason)
