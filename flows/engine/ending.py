"""How a flow ends: its state says what its summary says, so that Prefect's page, the exit code and the funnel agree."""

from __future__ import annotations

from typing import Any

from prefect.states import State, StateType

from flows.engine.funnel import first_few
from flows.summaries import Summary

KNOWN = "KnownFaults"
"""Name of the state of a run that failed by nothing but known faults: notifications wait for `Failed`."""
NAMED = 10
"""Faults that a message lists."""


class NotAll(RuntimeError):
    """What a failed flow's state holds: Prefect wants an error there."""

    def __init__(self, message: str, summary: Summary) -> None:
        super().__init__(message)
        self.summary = summary


def state_of(summary: Summary) -> State[Any]:
    """Failed if something met a fault or is missing, else Completed; with a message that lists it, and the summary."""
    if summary.exit_code == 0:
        return State(type=StateType.COMPLETED, message=_done(summary), data=summary)
    new = {item: why for item, why in summary.failures.items() if item not in summary.known}
    old = [f"{item} (for {times} runs)" for item, times in summary.known.items()]
    parts = []
    if new:
        faults = (f"{item}: {why.splitlines()[0] if why else 'no reason'}" for item, why in new.items())
        parts.append(f"{_counted(len(new), 'item')} met a fault: {first_few(faults, NAMED)}")
    if summary.lacking:
        parts.append(f"wanted and not there: {first_few(summary.lacking, NAMED)}")
    if old:
        parts.append(f"{_counted(len(old), 'known fault')}: {first_few(old, NAMED)}")
    name = "Failed" if new or summary.lacking else KNOWN
    message = ". ".join(parts)
    return State(type=StateType.FAILED, name=name, message=message, data=NotAll(message, summary))


def summary_in(state: State[Any]) -> Any:
    """What a flow that ended so hands back: its summary, also of a failed one. Raises what the flow raised."""
    found = state.result(raise_on_failure=False)
    return found.summary if isinstance(found, NotAll) else state.result()


def _done(summary: Summary) -> str:
    if not summary.executed and not summary.cached:
        return "Nothing to do"
    if not summary.executed:
        return f"Nothing new: {_counted(summary.cached, 'result')} of earlier runs hold"
    return f"{summary.executed} executed, {summary.cached} from the cache"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
