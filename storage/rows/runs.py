"""Rows about runs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from storage.rows.base import Row


class Funnel(Row):
    """What one stage did with one item in one run."""

    table: ClassVar[str] = "funnel"
    key_columns: ClassVar[tuple[str, ...]] = ("run_id", "stage", "key")

    run_id: str
    """The run. The same configuration, or the same evaluation, has the same one."""
    stage: str
    """Name of the stage, as the printed funnel has it."""
    key: str
    """Sha, test id or prediction id."""
    repo: str = ""
    """`owner/name`."""
    outcome: Literal["kept", "dropped", "failed", "waiting"]
    """`failed` means that the stage could not decide (a fault, not a result); `waiting`: for a batch."""
    reason: str = ""
    """Why the item was dropped, failed or waits; of kept ones what else there is to know."""
    made: list[str] = Field(default_factory=list)
    """Keys of what the stage made of the item, which the next stages read: of `perftests` the ids of accepted tests, of
    `timing` the session's, of `suites` the recorded suite's (in an evaluation: the first test that executes the
    change), of `instances` the instance's."""
    times: int = 1
    """In how many runs on end the item met this same fault; 1 for any other outcome."""
