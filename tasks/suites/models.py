"""What this stage passes around and hands back."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["passed", "failed", "skipped", "timeout", "ended", "missing"]
"""`ended`: the process did, during the test. `missing`: it could not be collected, or nobody told what came of it."""


class Value(BaseModel):
    """Immutable value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ran(Value):
    """What came of one test, once."""

    outcome: Outcome
    why: str = ""
    seconds: float = 0.0
    """From asking for it to its answer, by a clock that the arm cannot reach."""
    functions: list[str] = []
    """Changed functions that it called, if anybody looked."""
    own: bool = True
    """Whether its function was the suite's, and no other that had taken its place."""


class Recorded(Value):
    """Which of the repository's own tests can judge patches to a commit, or why none can."""

    sha: str
    suite_id: str | None
    """Key of the row in `suites`; None where nothing was recorded."""
    weakly_checked: bool
    reason: str


class Reference(Value):
    """The tests of an instance as the human's patch passes them here and now: what patches are held against."""

    instance_id: str
    tests: list[str] = []
    """Those that pass, the ones that execute changed functions first."""
    of_change: int = 0
    """How many of them, from the first, execute changed functions."""
    seconds: dict[str, float] = {}
    """Test -> how long it took."""
    collect_s: float = 60.0
    """How long importing the files of one process took at most."""
    canaries: dict[str, list[int]] = {}
    """Test -> its assertions that, spoiled, make it fail."""
    changes_itself: list[str] = []
    """What these tests replace of pytest and unittest themselves: no patch's doing."""
    not_own: list[str] = []
    """Tests whose function is none of their file's, whatever the arm."""
    not_passing: int = 0
    """Tests of the instance that do not pass here."""
    reason: str = ""
    """Why there are none."""


class Checked(Value):
    """What the tests say of one patch."""

    patch: str
    """Name of its arm."""
    correct: bool | None
    """None if no test was run."""
    reason: str = ""
