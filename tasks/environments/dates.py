"""The day on which a commit landed, from the clone: dependencies are those of that day.

Git keeps an author date when a commit is rebased or cherry-picked, so it may be years older than the commit's parent;
the committer date is that of the commit as it is. Both may be broken: the epoch, before it, or far in the future.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.environments.trees import dates_of

_EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)
"""No release of anything is older; a commit that says so has a broken date."""
_NEIGHBOURS = 200


@dataclass(frozen=True)
class Landed:
    """When a commit landed, as far as the clone tells."""

    date: datetime | None
    """None: no date is known, so there is no cut-off."""
    note: str = ""
    """What was wrong with the commit's own date; empty if nothing was."""


def landed(clone: Path, base_sha: str, head_sha: str, date: datetime | None) -> Landed:
    """The committer date of the human commit, and no older than that of base, which it is on top of.

    `date` is what a dataset or a table says: it counts where the clone lacks the commit or its dates are broken. Where
    that does not help, the nearest ancestor with a sensible date does.
    """
    now = datetime.now(UTC)
    head = next(iter(dates_of(clone, head_sha)), None) if head_sha else None
    bases = dates_of(clone, base_sha, _NEIGHBOURS)
    base = bases[0] if bases else None
    said = date if date is None or date.tzinfo else date.replace(tzinfo=UTC)
    told = [stamp for dates in (head, base) if dates for stamp in (dates.committer, dates.author)]
    broken = _first_broken(told, now)
    own = _sensible([_moment(head.committer)], now) if head else []
    own = own or _sensible([said, _moment(head.author) if head else None], now)
    own += _sensible([_moment(base.committer)], now) if base else []
    if own:
        return Landed(max(own).astimezone(UTC))
    for neighbour in bases:
        found = _sensible([_moment(neighbour.committer), _moment(neighbour.author)], now)
        if found:
            day = f"{max(found):%Y-%m-%d}"
            return Landed(
                max(found), f"its dates are broken ({broken}): dependencies are of {day}, an earlier commit's"
            )
    if not broken and said is not None:
        broken = f"{said:%Y-%m-%d}"
    return Landed(None, f"its dates are broken ({broken}): dependencies are today's" if broken else "")


def _first_broken(stamps: Iterable[int], now: datetime) -> str:
    for stamp in stamps:
        moment = _moment(stamp)
        if not _sensible([moment], now):
            return f"{moment:%Y-%m-%d}" if moment else f"{stamp} s after 1970-01-01"
    return ""


def _moment(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _sensible(moments: Iterable[datetime | None], now: datetime) -> list[datetime]:
    return [moment for moment in moments if moment and _EARLIEST <= moment <= now + timedelta(days=2)]
