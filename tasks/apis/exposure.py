"""How much a project shows a public name: in how many files of its tests, docs and benchmarks it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import git

from tasks.apis.reach import MAX_APIS, Reached, is_entry

ENTRY_PLACES = 8
"""Of the names kept, those that may be far away, if the top package offers them and the project shows them."""
UNSHOWN = 2.0
"""Steps by which a name that stands in no test, document or benchmark is further away."""

_WHERE = (
    ":(glob)**/tests/**", ":(glob)**/test/**", ":(glob)**/test_*.py", ":(glob)docs/**", ":(glob)doc/**",
    ":(glob)**/bench*/**", ":(glob)asv_bench/**", ":(glob)examples/**", ":(glob)README*",
)  # fmt: skip


def by_exposure(repo: git.Repo, sha: str, found: Sequence[Reached]) -> list[Reached]:
    """At most `MAX_APIS` of the candidates (nearest first, as `reach` has them), with their exposure, best first.

    `ENTRY_PLACES` are for further names of the top package, by exposure. Order: how near, where of those that did not
    change themselves one that the project never shows stands `UNSHOWN` steps further away and one of the top package a
    step nearer; among equally near ones, first those that reach more of what changed, then the more exposed ones, then
    those that more of the project's code calls.
    """
    files = count_files(repo, sha, {item.api.rpartition(".")[2] for item in found})
    counted = [replace(item, exposure=files.get(item.api.rpartition(".")[2], 0)) for item in found]
    near, far = counted[:MAX_APIS], [item for item in counted[MAX_APIS:] if item.exposure]
    far.sort(key=lambda item: -item.exposure)
    chosen = far[:ENTRY_PLACES]
    return sorted([*near[: MAX_APIS - len(chosen)], *chosen], key=_order)


def _order(item: Reached) -> tuple[float, int, int, int, int, int, str]:
    distance = item.cost
    if distance > 0:  # what changed itself comes first in any case
        distance += UNSHOWN if not item.exposure else -1 if is_entry(item.api) and distance > 1 else 0
    # by magnitude: 41 files say no more than 40
    shown, called = (int(math.log2(1 + number)) for number in (item.exposure, item.fan_in))
    return distance, -item.reaches, item.guesses, -shown, -called, item.api.count("."), item.api


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
