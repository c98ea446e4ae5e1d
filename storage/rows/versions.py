"""Rows about the dataset as a whole: what was withdrawn from it, and its versions."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from storage.rows.base import Row


class Withdrawal(Row):
    """Whether an instance still holds. One without a row here does."""

    table: ClassVar[str] = "withdrawals"
    key_columns: ClassVar[tuple[str, ...]] = ("instance_id",)

    instance_id: str
    """The instance."""
    repo: str
    """`owner/name`."""
    head_commit: str
    """Its human commit."""
    withdrawn: bool
    """False of one that was withdrawn and holds again."""
    cause: Literal["reverted", "too_slow", "left", "holds"]
    """`reverted`: upstream took the commit back. `too_slow`: a later timing said `no`. `left`: the configuration no
    longer wants it. `holds`: it is back."""
    why: str
    """In words: the revert, the interval, the filter."""
    at: datetime
    """When that was found."""
    run_id: str
    """Of the run that found it."""


class DatasetVersion(Row):
    """The instances of the store that held at one time."""

    table: ClassVar[str] = "versions"
    key_columns: ClassVar[tuple[str, ...]] = ("number",)

    number: int
    """From 1; there is a new one only if something changed."""
    at: datetime
    """When the version was made."""
    instances: list[str]
    """Ids, sorted."""
    contents: list[str]
    """Content hash of each instance, in the order of `instances`."""
    added: list[str] = Field(default_factory=list)
    """Ids that the version before did not have."""
    changed: list[str] = Field(default_factory=list)
    """Ids whose content is another one."""
    withdrawn: list[str] = Field(default_factory=list)
    """Ids that the version before had."""
    changelog: str
    """Markdown."""
    published: str = ""
    """Where it was published; empty if it was not."""
