"""What a user wants to be made again though the cache holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from configs.errors import UserError
from storage.tables import Funnel

FAILED, INCONCLUSIVE = "failed", "inconclusive"
_NAMING = ("sha", "instance_id", "test_id", "head_sha")
"""Arguments of doors that name whose item it is."""
_SHORTEST = 6
"""Letters of an item's name, so that no short word means half of a store by chance."""


class Retry:
    """The words of `--retry`: `failed`, `inconclusive`, a stage, or an item (sha, instance, perf test; a prefix does).

    Raises UserError for a word that is none of them.
    """

    def __init__(self, words: Iterable[str] = (), stages: Iterable[str] = ()) -> None:
        self.words = tuple(word.strip() for word in words if word.strip())
        self._stages = frozenset(stages)
        for word in self.words:
            if word not in (FAILED, INCONCLUSIVE, *self._stages) and len(word) < _SHORTEST:
                known = ", ".join(sorted(self._stages))
                raise UserError(
                    f"--retry {word}: expected `failed`, `inconclusive`, a stage ({known}), or the first "
                    f"{_SHORTEST} or more letters of an item"
                )

    def wants(self, stage: str, key: str, arguments: Mapping[str, Any], before: Funnel | None, owner: str = "") -> bool:
        """Whether a remembered result of an item is to be made again; `before` is what the funnel says of it."""
        return any(self._means(word, stage, key, arguments, before, owner) for word in self.words)

    def _means(
        self, word: str, stage: str, key: str, arguments: Mapping[str, Any], before: Funnel | None, owner: str
    ) -> bool:
        if word == FAILED:  # an environment that does not build is a result, and yet what people mean
            unbuilt = stage in ("environments", "checkouts") and before is not None and before.outcome == "dropped"
            return unbuilt or (before is not None and before.outcome == "failed")
        if word == INCONCLUSIVE:
            return before is not None and before.reason.startswith(INCONCLUSIVE)
        if word in self._stages:
            return word == stage
        names = [key, owner, *key.split(), *(arguments.get(name) for name in _NAMING)]
        return any(isinstance(name, str) and name.startswith(word) for name in names)
