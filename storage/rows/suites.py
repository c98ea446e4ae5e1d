"""Rows about the repositories' own tests."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from storage.rows.base import Row


class Suite(Row):
    """Which of a repository's own tests pass on base and on human, as they were recorded for one commit."""

    table: ClassVar[str] = "suites"
    key_columns: ClassVar[tuple[str, ...]] = ("suite_id",)

    suite_id: str
    """Content hash of both arms and of the kind of sandbox."""
    repo: str
    """`owner/name`."""
    sha: str
    """The human commit."""
    sandbox: Literal["local", "docker"]
    """Kind of the sandbox in which the tests ran."""
    pass_to_pass: list[str] = Field(default_factory=list)
    """Names of the tests that pass on base and on human in every run, as pytest writes them. Those that execute a
    changed function come first, then the quickest."""
    tests_of_change: int = 0
    """How many of `pass_to_pass`, from the first, execute a changed function."""
    fail_to_pass: list[str] = Field(default_factory=list)
    """Those that fail on base and pass on human. Not asked of patches: they may want what nobody was told."""
    seconds: list[float] = Field(default_factory=list)
    """Longest time of each test of `pass_to_pass`."""
    collected: int = 0
    """Tests that pytest found."""
    suite_share: float | None = None
    """`pass_to_pass` as a share of `collected`, from 0 to 1."""
    flaky: int = 0
    """Tests that were left out since one side's runs differ."""
    flaky_tests: list[str] = Field(default_factory=list)
    """The first hundred of them."""
    not_reached: int = 0
    """Files and tests that were left out for lack of time."""
    uncovered_functions: list[str] = Field(default_factory=list)
    """Changed Python functions that no test of `pass_to_pass` executes."""
    weakly_checked: bool
    """Whether no test of `pass_to_pass` executes a changed function."""
    reason: str = ""
    """What was found, in one line."""


class SuiteCheck(Row):
    """What an instance's own tests say of one patch."""

    table: ClassVar[str] = "suite_checks"
    key_columns: ClassVar[tuple[str, ...]] = ("instance_id", "arm_id", "sandbox")

    instance_id: str
    """The instance that the row is about."""
    arm_id: str
    """Content hash of the patched checkout."""
    repo: str
    """`owner/name`."""
    patch_id: str
    """As in `storage.ids.patch_id`; the arm is called `patch:<patch_id>`."""
    sandbox: Literal["local", "docker"]
    """Kind of the sandbox in which the tests ran."""
    correct: bool | None
    """None if no test could be run."""
    reason: str = ""
    """Tests that fail, by name, or how outcomes are forged."""
    tests: int
    """Tests that the human's code passes here."""
    passed: int
    """Of `tests`, those that the patch passes."""
    failed: list[str] = Field(default_factory=list)
    """Names of the tests that the patch fails."""
    not_run: int
    """For lack of time (`suite.check_s`)."""
    canaries: int
    """Tests with a spoiled assertion that failed, as they must."""
    duration_s: float
    """Seconds that the check took."""
