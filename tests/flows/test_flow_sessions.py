"""Sessions of one instance that the cache holds from different machines are timed again, together."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from configs.models import ScoringConfig
from flows.stages.timing import time_all
from tasks.timing.models import Session

OWNER = {"i1 t1": "i1", "i1 t2": "i1", "i2 t1": "i2"}


def session(fingerprint: str) -> Session:
    return Session(
        session_id=f"s-{fingerprint}", test_id="t", outcomes=[], n_rounds=8, number=1, protocol="interleaved",
        machine_id="m", fingerprint=fingerprint, duration_s=1,
    )  # fmt: skip


class Cached:
    """Where `Run` maps the door: answers from a cache, unless told that the answer is stale."""

    def __init__(self, cache: dict[str, str]) -> None:
        self.cache = cache
        self.timed: list[str] = []

    def map(
        self, stage: str, task: Any, items: Mapping[str, Any], *, repo: str = "",
        stale: Callable[[Session], bool] | None = None, owner: Mapping[str, str] | None = None,
    ) -> dict[str, Session]:  # fmt: skip
        found = {}
        for key in items:
            held = session(self.cache[key])
            if stale and stale(held):
                self.timed.append(key)
                held = session("here")
            found[key] = held
        return found


@pytest.mark.parametrize(
    ("cache", "allowed", "again"),
    [
        (("a", "here", "b"), False, ["i1 t1", "i1 t2"]),
        (("a", "here", "b"), True, []),
        (("a", "a", "b"), False, []),
    ],
)
def test_only_an_instance_with_mixed_sessions_is_timed_again(cache, allowed, again):
    run = Cached(dict(zip(OWNER, cache, strict=True)))
    scoring = ScoringConfig(allow_mixed_machines=allowed)
    found = time_all(run, {key: {} for key in OWNER}, OWNER, scoring)  # type: ignore[arg-type]
    assert run.timed == again
    assert [found[key].fingerprint for key in OWNER] == (["here", "here", "b"] if again else list(cache))
