"""The Python of the day: which versions a commit is tried on, in which order, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from packaging.specifiers import SpecifierSet

from tasks.environments.pythons.evidence import Evidence

OLDEST = 8
"""The oldest Python, 3.8, that is promised for the code which runs inside sandboxes: nothing is timed with older."""
RELEASED = {
    8: "2019-10-14", 9: "2020-10-05", 10: "2021-10-04", 11: "2022-10-24", 12: "2023-10-02", 13: "2024-10-07",
    14: "2025-10-07",
}  # fmt: skip
"""First final release of each 3.x, from PEPs 569, 596, 619, 664, 693, 719 and 745."""
_SETTLING = timedelta(days=150)
"""After this time most packages have wheels for a new Python; a project that names it counts at once."""


@dataclass(frozen=True)
class Choice:
    """A version to try."""

    minor: int
    why: str

    @property
    def version(self) -> str:
        """As uv understands it: `3.9`."""
        return f"3.{self.minor}"


def released(minor: int) -> datetime:
    """The day of a version's first release."""
    return datetime.fromisoformat(RELEASED[minor]).replace(tzinfo=UTC)


def settled(minor: int) -> datetime:
    """When most packages had wheels for a version."""
    return released(minor) + _SETTLING


def choices(evidence: Sequence[Evidence], date: datetime | None) -> list[Choice]:
    """Versions to try, the likeliest first: named by the project and released by its day, then those near to it.

    `date` is the commit's; None means today. Empty if the project accepts none from 3.8 on.
    """
    date = date or datetime.now(UTC)
    accepted = [said for said in evidence if said.accepted is not None]
    possible = [
        minor for minor in RELEASED if all(said.accepted is None or _takes(said.accepted, minor) for said in accepted)
    ]
    if not possible:
        return []
    there = [minor for minor in possible if released(minor) <= date]
    named = {minor: said.source for said in reversed(evidence) for minor in said.minors if minor in there}
    usual = [minor for minor in there if settled(minor) <= date]
    if named:
        first = max(named)
        why = f"the newest that {named[first]} names"
    elif usual:
        first, why = max(usual), f"the one of {date:%Y-%m-%d}"
    else:
        first, why = min(there or possible), f"the oldest that code is timed with, for a commit of {date:%Y-%m-%d}"
    if accepted and first == min(possible) and not named:
        why += f", within {accepted[0].source}"
    older = sorted((minor for minor in possible if minor < first), reverse=True)
    newer = sorted(minor for minor in possible if minor > first and (minor in there or minor == min(possible)))
    return [Choice(first, why), *[Choice(minor, _beside(minor, named)) for minor in [*older, *newer]]]


def _beside(minor: int, named: dict[int, str]) -> str:
    return f"{named[minor]} names it" if minor in named else "near to the first choice"


def _takes(accepted: SpecifierSet, minor: int) -> bool:
    """Whether some patch release of 3.`minor` is accepted."""
    return any(accepted.contains(f"3.{minor}.{patch}") for patch in range(25))
