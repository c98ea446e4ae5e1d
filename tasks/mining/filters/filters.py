"""Decides about a change: kept, or dropped by the first filter that objects. The filter's name is the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate

from tasks.code.paths import PathKinds
from tasks.mining.filters.rules import Rules
from tasks.mining.git.diff_parser import MAX_RECORD_BYTES, Change, FileDiff
from tasks.mining.git.history import Inner
from tasks.mining.message import Keywords, conventional_type, headline, is_revert, is_sync_merge
from tasks.mining.ranking.score import Score, features_of

NOT_CODE_TYPES = {"docs", "doc", "test", "tests", "ci", "build", "style", "release"}
"""Types of conventional subjects (`ci: ...`) that say that the project's code is not what changed."""
Verdict = tuple[bool, str]


@dataclass
class Filtered:
    """A change with the findings about it."""

    kept: bool
    reason: str
    score: Score = field(default_factory=Score)
    code: list[FileDiff] = field(default_factory=list)
    additions: int = 0
    deletions: int = 0

    def count(self, change: Change) -> None:
        """The lines of its diff."""
        counts = [file.line_counts() for file in change.files]
        self.additions = sum(added for added, _ in counts)
        self.deletions = sum(deleted for _, deleted in counts)


class Filters:
    """The filters of a configuration, in the order in which they are asked.

    1. the kind of change: missing_object, root_commit, empty, bot, revert, sync_merge
    2. the files: no_code_files, docs_only, tests_only
    3. the size: huge_diff, too_many_files, too_many_lines
    4. the message: message_type (`ci: ...`), no_keyword; or, with `use_keywords: false`, message and diff: low_score

    `tasks.mining.filters.content` reads the content of the remaining changes later (cosmetic, new_code_only). A change
    that the user named is dropped only by missing_object, root_commit, empty, the filters of the files, and huge_diff.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._kinds = PathKinds(rules.languages, rules.exclude_paths)
        self.keywords = Keywords(rules.keywords, rules.ignore_phrases)
        bots = "|".join(translate(glob.lower()) for glob in rules.ignore_authors)
        self._bots = re.compile(bots) if bots else None

    def apply(self, change: Change, inner: Inner | None = None) -> Filtered:
        """The verdict; a change that touches code gets a score, unless it is a revert, a bot's, or a merge from
        upstream."""
        filtered = Filtered(kept=False, reason="")
        filtered.count(change)
        filtered.reason = self._by_kind(change) or self._by_files(change, filtered)
        if filtered.reason:
            return filtered
        filtered.reason = self._by_size(change, filtered)
        title = headline(change.subject, change.message)
        kind = conventional_type(title)
        if not filtered.reason and kind in NOT_CODE_TYPES and not self.rules.named:
            filtered.reason = f"message_type: {kind}"
        in_title = self.keywords.find(title)
        keyword = in_title or self.keywords.find(change.message)
        inner = inner or Inner()
        filtered.score.add(
            features_of(
                change,
                title,
                inner.subjects,
                keyword_in_title=in_title is not None,
                keyword_in_message=bool(keyword or inner.said),
                code=filtered.code,
                benchmarks_touched=any(self._kinds.kind(file.path) == "benchmark" for file in change.files),
            )
        )
        if not filtered.reason:
            filtered.kept, filtered.reason = self._by_promise(keyword, inner.said, filtered.score)
        return filtered

    def _by_kind(self, change: Change) -> str:
        names = (change.author, change.email)
        bot = next((name for name in names if self._bots and self._bots.match(name.lower())), None)
        merge = len(change.parents) > 1
        named = self.rules.named
        checks = (
            (f"missing_object: {change.problem}", bool(change.problem)),
            ("root_commit", not change.parents),
            ("empty", not change.files and not change.truncated),
            (f"bot: {bot}", bot is not None and not named),
            ("revert", is_revert(headline(change.subject, change.message)) and not named),
            ("sync_merge", merge and is_sync_merge(change.subject) and not named),
        )
        return next((reason for reason, holds in checks if holds), "")

    def _by_files(self, change: Change, filtered: Filtered) -> str:
        files = [file for file in change.files if not file.is_submodule]
        kinds = {file.path: self._kinds.kind(file.path) for file in files}
        filtered.code = [file for file in files if kinds[file.path] == "code"]
        if filtered.code or change.truncated:
            return ""
        found = set(kinds.values())
        if not files:
            return "no_code_files: submodules only"
        if found == {"docs"}:
            return "docs_only"
        if "test" in found and found <= {"test", "docs"}:
            return "tests_only"
        return f"no_code_files: {', '.join(sorted(kinds)[:3])}"

    def _by_size(self, change: Change, filtered: Filtered) -> str:
        if change.truncated:
            return f"huge_diff: {change.diff_bytes / 2**20:.1f} MiB, more than {MAX_RECORD_BYTES >> 20}"
        if self.rules.named:
            return ""
        if len(filtered.code) > self.rules.max_files:
            return f"too_many_files: {len(filtered.code)}"
        lines = sum(sum(file.line_counts()) for file in filtered.code)
        if lines > self.rules.max_changed_lines:
            return f"too_many_lines: {lines}"
        return ""

    def _by_promise(self, keyword: str | None, said: dict[str, str], score: Score) -> Verdict:
        if self.rules.named:
            return True, "kept: named in mining.commits"
        if not self.rules.use_keywords:
            if score.value >= self.rules.min_score:
                return True, f"kept: score {score.value:g}"
            return False, f"low_score: {score.value:g}"
        if keyword:
            return True, f"kept: keyword '{keyword}'"
        for sha, word in said.items():
            return True, f"kept: keyword '{word}' in inner commit {sha[:9]}"
        return False, "no_keyword"
