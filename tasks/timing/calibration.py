"""Calibration: comparisons whose truth is known, by the real protocol in the real sandbox.

Two arms do the same loop a known number of times: 110 times beside 100 is a true speedup of 1.10. Each effect is asked
about at its half (is a true 1.10 at least 1.05?), since that is what telling it from nothing takes; identical code is
asked the two questions of a benchmark, 1.2 times base and 0.95 of the human.
"""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from configs.models import MIN_SPEEDUP, OPT_THRESHOLD, SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from storage.tables import Calibration, Comparison
from tasks.sandbox.docker.engine import default_image
from tasks.sandbox.models import Arm, Environment
from tasks.timing.session import run_session

UNITS = 100
"""Loops of the faster arm."""
CALLS = {"1 ms": 170, "30 ms": 5_000}
"""Steps of a loop, by about how long a call of UNITS of them takes."""
BUDGET_S = 15.0
"""Of one comparison."""
SCRIPT = """
import units

def setup(seed):
    return seed

def experiment(state):
    for _ in range(units.COUNT):
        value = state
        for _ in range({steps}):
            value = (value * 1103515245 + 12345) % 2147483648
    return value

def check_equivalence(reference, candidate):
    assert reference == candidate
"""


@dataclass(frozen=True)
class Case:
    """A true ratio and the question asked about it."""

    units: int
    """Loops of base."""
    question: float

    @property
    def true_ratio(self) -> float:
        """Speedup of the other arm."""
        return self.units / UNITS


CASES = (
    Case(100, OPT_THRESHOLD), Case(100, MIN_SPEEDUP),
    Case(120, 1.1), Case(110, 1.05), Case(105, 1.025), Case(102, 1.01),
)  # fmt: skip


def calibrate(
    store: Store, sandbox: SandboxConfig, minutes: float, timing: TimingConfig | None = None
) -> Iterator[Calibration]:
    """Compare case after case, in turns, until the time is up; each finished comparison is appended, then yielded.

    At least one comparison is made. Its measurements are not kept, so calibration leaves nothing in the other tables.
    Raises SandboxError.
    """
    timing = timing or TimingConfig(budget_s=BUDGET_S)
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    deadline = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Store(Path(folder)), sandbox, timing)
        number = 0
        while True:
            for case in CASES:
                for call in CALLS:
                    row = bench.compare(name, number, call, case)
                    store.append([row])
                    yield row
                    number += 1
                    if time.monotonic() > deadline:
                        return


class _Bench:
    """Arms in a folder of their own."""

    def __init__(self, store: Store, sandbox: SandboxConfig, timing: TimingConfig) -> None:
        self._store, self._sandbox, self._timing = store, sandbox, timing

    def compare(self, calibration_id: str, number: int, call: str, case: Case) -> Calibration:
        """One session."""
        started_at = datetime.now(UTC)
        scoring = ScoringConfig().model_copy(update={"min_speedup": case.question})
        session = run_session(
            repo="isobench/calibrate", instance_id=None,
            arms=[self._arm("base", case.units), self._arm("human", UNITS)],
            test_id=f"calibrate-{call}-{case.units}", script=SCRIPT.format(steps=CALLS[call]), dialect="isobench",
            timing=self._timing, scoring=scoring, sandbox=self._sandbox, store=self._store,
        )  # fmt: skip
        (row,) = self._store.rows(Comparison, session_id=session.session_id)
        return Calibration(
            calibration_id=calibration_id, number=number, machine_id=session.machine_id, sandbox=self._sandbox.kind,
            protocol=session.protocol, call=call, call_s=row.against_median_s, true_ratio=case.true_ratio,
            question=case.question, verdict=row.verdict,
            right=row.verdict == ("yes" if case.true_ratio >= case.question else "no"),
            ratio=row.ratio, ci_low=row.ci_low, ci_high=row.ci_high, n_rounds=row.n_rounds,
            seconds=session.duration_s, started_at=started_at,
        )  # fmt: skip

    def _arm(self, name: str, count: int) -> Arm:
        folder = self._store.work / f"units-{count}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "units.py").write_text(f"COUNT = {count}\n")
        if self._sandbox.uses_images:
            environment = Environment(env_id="image", kind="docker", python="python3", image=default_image())
        else:
            environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
        return Arm(name=name, arm_id=f"{name}-{count}", checkout=folder.name, environment=environment)
