"""What became of every item: the funnel of one run id, in the store and as this run adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from storage.store import Store
from storage.tables import Funnel

Outcome = Literal["kept", "dropped", "failed", "waiting"]

KNOWN_AFTER = 3
"""A fault that an item meets in more runs than this, one after the other and without a change, is known."""
_NUMBER = re.compile(r"\d+(\.\d+)?")


class FunnelBook:
    """The funnel of one run id. The last word on an item in a stage counts; stages read here what came before them."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._new: dict[tuple[str, str], Funnel] = {}
        self._before: dict[tuple[str, str], Funnel] | None = None
        self._written: dict[tuple[str, str], Funnel] = {}

    def note(
        self, stage: str, key: str, outcome: Outcome, reason: str = "", repo: str = "", made: Sequence[str] = ()
    ) -> None:
        """Record what a stage did with an item, and what it made of it."""
        row = Funnel(
            run_id=self._run_id, stage=stage, key=key, repo=repo, outcome=outcome, reason=reason, made=list(made)
        )
        before = self._stored().get((stage, key))
        if outcome == "failed" and before is not None and _is_same(before, row):
            row = row.model_copy(update={"times": before.times + 1})
        self._new[stage, key] = row
        if stage != "mining":  # it has thousands, and sums them up itself
            _log(row)

    def row(self, stage: str, key: str) -> Funnel | None:
        """The last word on an item, of this run or of an earlier one of its id."""
        return self._new.get((stage, key)) or self._stored().get((stage, key))

    def stage(self, stage: str) -> dict[str, Funnel]:
        """The last word on every item of a stage, of this run or of an earlier one of its id."""
        rows = self._stored() | self._new
        return {key: row for (of, key), row in rows.items() if of == stage}

    def rows(self) -> list[Funnel]:
        """What this run noted."""
        return list(self._new.values())

    def failures(self) -> dict[str, str]:
        """`stage key` -> reason of every item that met a fault in this run."""
        return {f"{row.stage} {row.key}": row.reason for row in self._new.values() if row.outcome == "failed"}

    def known(self) -> dict[str, int]:
        """Of `failures`, those that were there before: in how many runs on end."""
        failed = (row for row in self._new.values() if row.outcome == "failed")
        return {f"{row.stage} {row.key}": row.times for row in failed if row.times > KNOWN_AFTER}

    def write(self) -> None:
        """Append the rows that are new, or changed since they were written last."""
        self._stored()
        new = {key: row for key, row in self._new.items() if self._written.get(key) != row}
        self._store.append(new.values())
        self._written |= new

    def _stored(self) -> dict[tuple[str, str], Funnel]:
        """What the store held when this run began."""
        if self._before is None:
            self._before = {(row.stage, row.key): row for row in self._store.rows(Funnel, run_id=self._run_id)}
            self._written = dict(self._before)
        return self._before


def _is_same(before: Funnel, now: Funnel) -> bool:
    """Whether it is the fault of last time: durations and sizes in its reason do not count."""
    return before.outcome == now.outcome and _NUMBER.sub("", before.reason) == _NUMBER.sub("", now.reason)


def _log(row: Funnel) -> None:
    """A line in the log of the run that works on the item."""
    try:
        logger = get_run_logger()
    except MissingContextError:
        return
    text = f"{row.stage} {row.key}: {row.outcome}" + (f": {row.reason}" if row.reason else "")
    if row.outcome == "failed":
        logger.error("%s", text)
    else:
        logger.info("%s", text)


def first_few(reasons: Iterable[str], limit: int = 5) -> str:
    """The first few reasons as one line, with how many were left out."""
    found = list(reasons)
    more = f" (and {len(found) - limit} more)" if len(found) > limit else ""
    return "; ".join(found[:limit]) + more
