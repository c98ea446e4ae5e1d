"""How much a project shows a public name: in how many files of its tests, docs and benchmarks it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import git

from tasks.apis.reach import Reached

_WHERE = (
    ":(glob)**/tests/**", ":(glob)**/test/**", ":(glob)**/test_*.py", ":(glob)docs/**", ":(glob)doc/**",
    ":(glob)**/bench*/**", ":(glob)asv_bench/**", ":(glob)examples/**", ":(glob)README*",
)  # fmt: skip


def by_exposure(repo: git.Repo, sha: str, found: Sequence[Reached]) -> list[Reached]:
    """The candidates with their exposure; among equally near ones, first those that reach more of what changed, then
    the more exposed ones, then those that more of the project's code calls.
    """
    files = count_files(repo, sha, {item.api.rpartition(".")[2] for item in found})
    counted = [replace(item, exposure=files.get(item.api.rpartition(".")[2], 0)) for item in found]

    def order(item: Reached) -> tuple[float, int, int, int, int, int, str]:
        # by magnitude: 41 files say no more than 40
        shown, called = (int(math.log2(1 + number)) for number in (item.exposure, item.fan_in))
        return item.cost, -item.reaches, item.guesses, -shown, -called, item.api.count("."), item.api

    return sorted(counted, key=order)


def count_files(repo: git.Repo, sha: str, words: set[str]) -> dict[str, int]:
    """Word -> number of files of tests, docs and benchmarks at the commit that hold it; one `git grep` for all."""
    if not words:
        return {}
    patterns = [part for word in sorted(words) for part in ("-e", word)]
    try:
        output = str(repo.git.grep("-I", "-o", "-w", "-F", "-z", *patterns, sha, "--", *_WHERE))
    except git.GitCommandError as error:
        if error.status == 1:  # nothing found
            return {}
        raise
    seen: dict[str, set[str]] = {}
    for line in output.split("\n"):
        file, _, word = line.partition("\0")
        if word in words:
            seen.setdefault(word, set()).add(file)
    return {word: len(places) for word, places in seen.items()}
