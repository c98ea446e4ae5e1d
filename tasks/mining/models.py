"""Results of the doors of mining."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Clone(BaseModel):
    """A local bare clone of the repository."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Folder, relative to `Store.work`."""
    head_sha: str
    """Newest commit of the branch."""
    branch: str | None = None
    """The branch that was resolved; None where the remote's HEAD is detached."""
    rewritten: bool = False
    """Whether the branch no longer contains the commit that it pointed to at the last synchronisation."""
    shallow: bool = False
    """Whether the history ends before its root, because the source's does."""
    partial: bool = False
    """Whether blobs are missing that a remote promised."""
    submodules: list[str] = []
    """Paths of submodules at the head; they are left alone."""
    lfs: list[str] = []
    """Patterns of files that Git LFS keeps; the clone holds pointers to them only."""


class Mined(BaseModel):
    """The result of mining a history; the changes themselves are rows in `commits`."""

    model_config = ConfigDict(frozen=True)

    considered: int
    """Changes in the history, within the dates and the number asked for."""
    kept: list[str]
    """Shas of the kept changes, best score first: all of them, `max_candidates` is for the caller to apply."""
    unknown: list[str] = []
    """Of `mining.commits`, those that the clone has no commit for."""
    new: int = 0
    """Changes that this run read; the others were already judged by the same filters."""


class Chain(BaseModel):
    """The main branch, as a sweep walks it."""

    model_config = ConfigDict(frozen=True)

    shas: list[str]
    """Oldest first."""
    dates: dict[str, datetime]
    """Committer dates."""


class SpanChanged(BaseModel):
    """The difference between two commits, read as one change."""

    model_config = ConfigDict(frozen=True)

    files: list[str]
    """Code files."""
    functions: list[str]
    """`path::Class.function`, as in `Commit.functions_changed`."""


class Classified(BaseModel):
    """A model's verdict on one kept change."""

    model_config = ConfigDict(frozen=True)

    sha: str
    kept: bool
    reason: str


class FetchedPullRequest(BaseModel):
    """The outcome of fetching one pull request; its text is a row in `pull_requests`."""

    model_config = ConfigDict(frozen=True)

    number: int
    status: Literal["fetched", "unchanged", "not_found", "skipped"]
    reason: str = ""
    """Why there is no text."""
