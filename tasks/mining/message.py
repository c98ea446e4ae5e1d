"""Reads a commit message: performance words, pull request, reverts."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CONVENTIONAL = re.compile(r"^\s*(?P<type>\w+)(?:\([^)\n]*\))?!?:\s")
_NOT_PROSE = (
    (re.compile(r"```.*?(?:```|\Z)", re.DOTALL), ("```",)),  # code
    (re.compile(r"``?[^`\n]*``?"), ("`",)),
    (re.compile(r"^\s*>>> .*$", re.MULTILINE), (">>> ",)),
    (re.compile(r"\bhttps?://\S+"), ("://",)),
    (re.compile(r"^[A-Z]\w*(?:-\w+)*-(?:[Bb]y|[Ii]d|[Oo]n|[Tt]o): .*$", re.MULTILINE), (": ",)),  # trailers
    (re.compile(r"^(?:cherry picked|\(cherry picked) .*$", re.MULTILINE), ("cherry picked",)),
    (re.compile(r"\w+(?:\.\w+)*\([^()\n]*\)"), ("(",)),  # optimize(), fast.path(x)
    (re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b"), (".",)),  # foo.optimize, perf.py
    (re.compile(r"\S+/\S+/\S*|\S+/\S*\.\w+"), ("/",)),  # a path
    (re.compile(r"\b(?:from|into|of|branch)\s+'?[\w.-]+/\S+"), ("/",)),  # a branch: Merge ... from bob/faster
    (re.compile(r"'\w+'|\"\w+\""), ("'", '"')),  # a name in quotes
    (re.compile(r"(?<!\S)[-@#$]+\w[\w-]*"), ("-", "@", "#", "$")),  # --fast, @cache, #123
    (re.compile(r"\b\w+\s*=\s*\S+"), ("=",)),  # cache=True
)
"""Patterns of what is no prose; each match holds one of the signs beside it, and looking for those is cheaper."""
_PULL = re.compile(r"\(#(\d+)\)\s*$|^Merge pull request #(\d+)|^Merge PR #(\d+)|\(gh-(\d+)\)\s*$", re.IGNORECASE)
_REVERT = re.compile(r"^revert(?:s|ed|ing)?\b(?!\s*\()", re.IGNORECASE)
_REVERTED = re.compile(r"\brevert(?:s|ed|ing)?\s+(?:commit\s+)?([0-9a-f]{40})\b", re.IGNORECASE)
_SYNC = re.compile(
    r"^Merge (?:remote(?:[- ]tracking)? )?branch(?:es)? '?(?:upstream/|origin/)?(?:master|main|develop|trunk)'?"
    r"(?: of \S+)?(?: into \S+)?\s*$|^Merge (?:from )?(?:upstream|master|main)\b",
    re.IGNORECASE,
)


class Keywords:
    """Finds whole words or phrases in prose: not in code, names of functions, paths, links or trailers."""

    def __init__(self, keywords: Sequence[str], ignore_phrases: Sequence[str]) -> None:
        self._keywords = _any_of(keywords)
        self._ignored = _any_of(ignore_phrases)
        words = {phrase.split()[0].lower() for phrase in keywords if phrase.split()}
        self._words = [word for word in words if not any(other in word for other in words - {word})]

    def find(self, message: str) -> str | None:
        """The first keyword in the message, in lower case, or None."""
        # most messages have none of the words anywhere: the costly cleaning is for the others
        lower = message.lower()
        if self._keywords is None or not any(map(lower.__contains__, self._words)):
            return None
        if not self._keywords.search(message):
            return None
        text = prose(message)
        if self._ignored is not None:
            text = self._ignored.sub(" ", text)
        match = self._keywords.search(text)
        return re.sub(r"\s+", " ", match[0].lower()) if match else None


def _any_of(phrases: Sequence[str]) -> re.Pattern[str] | None:
    if not phrases:
        return None
    longest_first = sorted(phrases, key=len, reverse=True)
    alternatives = "|".join(r"\s+".join(re.escape(word) for word in phrase.split()) for phrase in longest_first)
    return re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w])", re.IGNORECASE)


def prose(message: str) -> str:
    """The prose of the message. The type of a conventional subject (`perf(x): ...`) stays."""
    text = message
    match = _CONVENTIONAL.match(text)
    if match:
        text = f"{match['type']}: {text[match.end() :]}"
    for pattern, signs in _NOT_PROSE:
        for sign in signs:
            if sign in text:
                text = pattern.sub(" ", text)
                break
    return text


def conventional_type(subject: str) -> str | None:
    """`perf` of `perf(parser): ...`, in lower case; None if the subject has no such prefix."""
    match = _CONVENTIONAL.match(subject + " ")
    return match["type"].lower() if match else None


def headline(subject: str, message: str) -> str:
    """The title of the change: the subject; of a merge the pull request's title, if the message has it."""
    if not subject.startswith("Merge "):
        return subject
    rest = message.removeprefix(subject).strip()
    return rest.split("\n", 1)[0] if rest else subject


def pull_request(subject: str) -> int | None:
    """The number of the pull request that the subject names."""
    match = _PULL.search(subject)
    return int(next(group for group in match.groups() if group)) if match else None


def is_revert(subject: str) -> bool:
    """Whether the change reverts another one. The revert of a revert does not count: it brings the change again."""
    return _REVERT.match(subject) is not None and not re.match(r'^revert\s+"revert\b', subject, re.IGNORECASE)


def reverted_sha(message: str) -> str | None:
    """The full sha that a revert names."""
    match = _REVERTED.search(message)
    return match[1].lower() if match else None


def is_sync_merge(subject: str) -> bool:
    """Whether a merge only brought a fork up to date with the main branch."""
    return _SYNC.match(subject) is not None
