"""One stage within a run: its notes, its counts, and the state in which it ends."""

from __future__ import annotations

from typing import Any

from prefect.states import State

from flows.engine.again import publish_faults
from flows.engine.ending import state_of
from flows.engine.run import Run
from flows.summaries import StageSummary


class Span:
    """From the beginning of a stage to its end."""

    def __init__(self, run: Run, stage: str) -> None:
        self._run, self._stage = run, stage
        self._executed, self._cached, self._missing = run.executed, run.cached, len(run.missing)
        self._before = {id(row) for row in run.rows()}

    def ended(self, flow: str) -> State[Any]:
        """Write the funnel, and say what the stage came to; a failed one leaves an artifact. `flow` is its name."""
        run = self._run
        noted = [row for row in run.rows() if id(row) not in self._before]
        known = run.funnel.known()
        failed = {f"{row.stage} {row.key}": row.reason for row in noted if row.outcome == "failed"}
        summary = StageSummary(
            run_id=run.run_id, store=run.store.root, stage=self._stage, executed=run.executed - self._executed,
            cached=run.cached - self._cached, failures=failed,
            known={item: times for item, times in known.items() if item in failed},
            missing=run.missing[self._missing :], waiting=sum(row.outcome == "waiting" for row in noted),
        )  # fmt: skip
        run.funnel.write()
        if summary.exit_code:
            publish_faults(summary, flow)
        return state_of(summary)
