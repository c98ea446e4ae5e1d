"""Whether an arm's result is as good as base's, by the perf test's own words."""

from __future__ import annotations

import time

from tasks.sandbox.probe.session import CheckFailed, ProbeError, ProbeSession
from tasks.timing.models import Status
from tasks.timing.patience import limit
from tasks.timing.processes import SessionContext, status_of


class ResultChecker:
    """Compares results in a process of its own, with base's code. Bytes that equal the reference need no comparison."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._probe: ProbeSession | None = None
        self._baseline: tuple[bytes, Status, str] | None = None
        self.own_s: float | None = None
        """How long the comparison of a result of base's with itself took; None before there was one."""

    def __enter__(self) -> ResultChecker:
        return self

    def __exit__(self, *_: object) -> None:
        if self._probe is not None:
            self._probe.close()

    def baseline(self, reference: bytes) -> tuple[Status, str]:
        """What the script says of base's result and itself; the first one tells how long a comparison takes."""
        if self._baseline is None or self._baseline[0] != reference:
            start = time.monotonic()
            self._baseline = (reference, *self._compare(reference, reference, None))
            self.own_s = self.own_s or time.monotonic() - start
        return self._baseline[1:]

    def check(self, reference: bytes, candidate: bytes) -> tuple[Status, str]:
        """(`ok`, "") or how the candidate failed. One that breaks the process, or holds it up, costs only itself."""
        if candidate == reference:
            return "ok", ""
        if self.own_s is None:
            self.baseline(reference)
        return self._compare(reference, candidate, limit(self.own_s, self._context.timing.call_timeout_s))

    def _compare(self, reference: bytes, candidate: bytes, timeout_s: float | None) -> tuple[Status, str]:
        try:
            if self._probe is None:
                self._probe = self._context.probe("base", None, 0, checker=True).__enter__()
                self._probe.load(self._context.script, self._context.dialect)
            self._probe.check(reference, candidate, timeout_s)
        except CheckFailed as error:
            return "incorrect", str(error)
        except ProbeError as error:
            if self._probe is not None:
                self._probe.close()
            self._probe = None
            return status_of(error), f"check_equivalence: {error}"
        return "ok", ""
