"""Filters ranges of history: a row for each change; rows of kept changes have functions and patches.

This module needs neither the store nor its heavy libraries: a worker process (`tasks.mining.workers.process`) starts
fast and stays small.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import git

from tasks.mining.filters.content import Dropped, functions_of, patches_of
from tasks.mining.filters.filters import Filters
from tasks.mining.filters.rules import Rules
from tasks.mining.functions.patch_id import patch_ids
from tasks.mining.git.diff_parser import Change
from tasks.mining.git.diff_stream import Differ
from tasks.mining.git.history import Inner, read_changes
from tasks.mining.message import headline, pull_request

SHALLOW = "shallow_boundary: the clone ends here"
_REV = re.compile(r"REV(?:ERT)?(?:\([^)\n]*\))?!?: ", re.IGNORECASE)
"""How numpy and its neighbours begin the subject of a revert."""


Row = dict[str, Any]
"""The columns of a row of `commits`: a worker process has no use for the library that checks them."""


class Filtering:
    """The filters of one configuration, applied to one clone."""

    def __init__(self, repo: git.Repo, name: str, rules: Rules, version: str) -> None:
        """`name`: `owner/name`, as the rows have it."""
        self._repo = repo
        self._name = name
        self._version = version
        self._differ = Differ(repo)
        self._whole = Differ(repo, context=True)
        self._boundary = shallow_boundary(repo)
        self.filters = Filters(rules)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._differ.close()
        self._whole.close()

    def rows(self, shas: list[str], inner: dict[str, Inner]) -> Iterator[Row]:
        """One row per change, in the order asked for; `inner` has the commits that merges among them brought in."""
        for change in read_changes(self._differ, shas):
            yield self._row(change, inner.get(change.sha))

    def _row(self, change: Change, inner: Inner | None) -> Row:
        filtered = self.filters.apply(change, inner)
        if change.sha in self._boundary:
            # its parent is not here: what git shows is the whole tree, not what changed
            filtered.kept, filtered.reason = False, SHALLOW
        elif filtered.kept and not self.filters.rules.named and _REV.match(headline(change.subject, change.message)):
            filtered.kept, filtered.reason = False, "revert"
        functions: list[str] = []
        patch = test_patch = does = undoes = ""
        if filtered.kept:
            try:
                functions = functions_of(self._repo, filtered.code, keep_new_code=self.filters.rules.keep_new_code)
                whole = self._with_context(change)
                patch, test_patch = patches_of(self._repo, whole)
                does, _ = patch_ids(whole)
                filtered.count(whole)  # git may pair equal lines otherwise: the numbers are those of the patch
            except Dropped as dropped:
                filtered.kept, filtered.reason = False, str(dropped)
                functions = []
        elif filtered.reason == "revert":
            _, undoes = patch_ids(self._with_context(change))
        return {
            "repo": self._name,
            "sha": change.sha,
            "parent_sha": change.parents[0] if change.parents else None,
            "author_date": change.author_date,
            "subject": change.subject,
            "message": change.message,
            "author": change.author,
            "pr_number": pull_request(change.subject),
            "inner_shas": inner.shas if inner else [],
            "score": filtered.score.value,
            "score_features": filtered.score.features,
            "filter_version": self._version,
            "files": [file.path for file in change.files],
            "additions": filtered.additions,
            "deletions": filtered.deletions,
            "patch": patch,
            "test_patch": test_patch,
            "patch_id": undoes or does,
            "functions_changed": functions,
            "kept": filtered.kept,
            "reason": filtered.reason,
        }

    def _with_context(self, change: Change) -> Change:
        """The change read once more: few are kept, and the lines around what differs cost git and us time in all."""
        return next(read_changes(self._whole, [change.sha]))


def shallow_boundary(repo: git.Repo) -> set[str]:
    """Commits whose parents a shallow clone lacks; empty for a whole one."""
    path = Path(repo.git_dir) / "shallow"
    return set(path.read_text().split()) if path.is_file() else set()
