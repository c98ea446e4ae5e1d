"""Rows about changes: what mining and the search for APIs find in a repository."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from storage.rows.base import Row


class Commit(Row):
    """One change that mining considered: a step of the first-parent history of the main branch."""

    table: ClassVar[str] = "commits"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha")

    repo: str
    """`owner/name`."""
    sha: str
    """The human (head) commit, 40 hex digits."""
    parent_sha: str | None
    """The base commit: the first parent. None for a root commit."""
    author_date: datetime
    """When the change was written, by its author's clock, as UTC."""
    subject: str
    """First line of the message."""
    message: str
    """The whole message, subject included."""
    author: str = ""
    """Name of the author, as git has it."""
    pr_number: int | None = None
    """Pull request that the subject names, as `(#12)` or `Merge pull request #12`."""
    inner_shas: list[str] = Field(default_factory=list)
    """Commits that a merge brought in, newest first; empty for an ordinary commit."""
    score: float = 0.0
    """How much the change looks like an optimisation; larger is more. Comparable within one filter version only."""
    score_features: list[str] = Field(default_factory=list)
    """What the score is made of, e.g. `+2.2 keyword in title`."""
    filter_version: str = ""
    """Hash of the settings and the code that judged the change: equal means judged alike."""
    files: list[str] = Field(default_factory=list)
    """Paths that the change touches, tests and documentation included."""
    additions: int = 0
    """Lines that the diff adds, in all of `files`."""
    deletions: int = 0
    """Lines that the diff takes away, in all of `files`."""
    patch: str = ""
    """Unified diff of everything but tests, as `git apply` takes it. Empty unless the change was kept."""
    test_patch: str = ""
    """Unified diff of the tests."""
    patch_id: str = ""
    """Hash of what a kept change does, wherever it lands: equal for cherry-picks. Of a revert: what it undoes."""
    functions_changed: list[str] = Field(default_factory=list)
    """`path/to/file.py::Class.function`, by parser, of functions that exist after the change."""
    kept: bool
    """Whether the change is a candidate and goes on to the next stages."""
    reason: str
    """Why it was kept or dropped: the name of the deciding filter, with its detail after a colon."""


class PullRequest(Row):
    """What a pull request says: its text and discussion, as GitHub had them."""

    table: ClassVar[str] = "pull_requests"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "number")

    repo: str
    """`owner/name`."""
    number: int
    """As in `Commit.pr_number`."""
    status: Literal["ok", "not_found"]
    """`not_found`: GitHub has no pull request of this number."""
    title: str = ""
    """Its title."""
    body: str = ""
    """Its first text, in Markdown."""
    author: str = ""
    """GitHub login of who opened it."""
    labels: list[str] = Field(default_factory=list)
    """Names of its labels."""
    timeline: str = ""
    """Comments, reviews and remarks in the order of time, each as `date author (what): text`."""
    linked_issues: list[str] = Field(default_factory=list)
    """Issues that it says it closes: `#12 title`, a line feed, the text."""
    claims: list[str] = Field(default_factory=list)
    """Gains that it claims, as it says them, e.g. `2.3x faster` or `12 ms -> 3 ms`."""
    etag: str = ""
    """GitHub's name for this version, for asking whether there is a newer one."""
    fetched_at: datetime
    """When GitHub was asked last."""


class Api(Row):
    """A public name through which a changed function is reached."""

    table: ClassVar[str] = "apis"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha", "api")

    repo: str
    """`owner/name`."""
    sha: str
    """The human commit."""
    api: str
    """Importable dotted name, e.g. `sortkit.merge.merge_runs`."""
    rank: int
    """1 is the best candidate for a perf test."""
    evidence: list[str]
    """The call path from the public name to the changed function, one qualified name per step."""
    source: Literal["static", "llm"]
    """`static`: found in the call graph; `llm`: named by a model."""
    distance: int | None = None
    """Steps of the path; 0 if the changed function is public itself. None: a model named it, no path was found."""
    guesses: int = 0
    """Steps of the path that were resolved by a method's name alone."""
    exposure: int = 0
    """Files of the project's tests, docs and benchmarks that hold the last part of the name."""
    fan_in: int = 0
    """Definitions of the project that lead to it directly."""


class Contract(Row):
    """What a change does to the public contract: a change that breaks it cannot be compared by every test of base."""

    table: ClassVar[str] = "contracts"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha")

    repo: str
    """`owner/name`."""
    sha: str
    """The human commit."""
    added: list[str] = Field(default_factory=list)
    """Public names that base does not have."""
    removed: list[str] = Field(default_factory=list)
    """Public names of base that human does not have."""
    changed: list[str] = Field(default_factory=list)
    """`name: f(a) -> f(a, b=1)`, of signatures that differ in more than annotations."""
    breaking: list[str] = Field(default_factory=list)
    """Names removed, and those that no longer take every call that they took."""
    is_changed: bool
    """Whether any of the lists has an entry."""
