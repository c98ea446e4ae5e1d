"""Rows of sweeps: how fast the repository's own tests ran at two points of its history."""

from __future__ import annotations

from typing import ClassVar, Literal

from storage.rows.base import Row


class SweepComparison(Row):
    """One test timed at two commits of the main branch, in one session."""

    table: ClassVar[str] = "sweep_comparisons"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sweep", "test_id", "base_sha", "head_sha", "kind")

    repo: str
    """`owner/name`."""
    sweep: str
    """Content hash of the settings that decided what was compared."""
    test_id: str
    """Content hash of the test as a perf test."""
    test: str
    """Name of the test as the repository has it, with the factor of its input if that was scaled."""
    window: str
    """The window that it was searched in, as `<base>..<head>` with ten digits each."""
    kind: Literal["window", "half", "step", "null"]
    """`window`: the first and the last commit of a window. `half`: a commit between, during the search. `step`: the
    one change where the time steps, timed anew. `null`: the first commit of a window against itself."""
    base_sha: str
    """The older commit."""
    head_sha: str
    """The newer one; of `null` the same."""
    n_changes: int
    """Changes of the main branch between them that touch code; 1 for neighbours."""
    verdict: Literal["yes", "no", "inconclusive", "failed"]
    """Whether head is at least `min_step` times as fast as base. `failed`: one of them could not be timed."""
    ratio: float | None = None
    """Time at base over time at head."""
    ci_low: float | None = None
    """Lower end of the interval of `ratio`."""
    ci_high: float | None = None
    """Upper end of the interval of `ratio`."""
    confidence: float
    """Of the interval, before what the looks at it cost."""
    reason: str = ""
    """Why it could not be timed."""
    session_id: str = ""
    """The session, a key of `sessions`; empty if it could not be timed."""
    duration_s: float = 0.0
    """Wall time of the session, in seconds."""
