"""Which two commits a sweep times next: windows of a history, and the search for the change in one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

RETRIES = 2
"""Further commits that are tried where the one in the middle cannot be timed."""


@dataclass(frozen=True)
class Span:
    """Two commits of a chain of changes, by position: everything after `first` up to `last` lies between them."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """Changes between them."""
        return self.last - self.first


def windows(length: int, size: int, most: int) -> list[Span]:
    """Spans of at most `size` changes that cover a chain of `length` commits, newest first; at most `most` of them.

    Neighbours share a commit, so no change lies between two windows.
    """
    found: list[Span] = []
    last = length - 1
    while last > 0 and len(found) < most:
        first = max(0, last - size)
        found.append(Span(first, last))
        last = first
    return found


@dataclass
class Search:
    """The search for one step of one test in one window, by halving what is left.

    A span is followed where its ratio reaches the square root of the smallest step: two such halves make one step. So a
    window with two steps gives both, and a gradual gain gives none.
    """

    min_step: float
    pending: list[tuple[Span, float]] = field(default_factory=list)
    """Spans to halve, with their ratio."""
    steps: list[tuple[Span, float]] = field(default_factory=list)
    """Spans that cannot be halved further: one change, or several of which none between can be timed."""
    tried: dict[Span, int] = field(default_factory=dict)

    def begin(self, window: Span, ratio: float) -> None:
        """A window whose ratio says that it holds a step."""
        self._take(window, ratio)

    def middle(self, span: Span) -> int | None:
        """The commit to time next against the first of a span; None if none is left to try."""
        tries = self.tried.get(span, 0)
        if tries > RETRIES:
            return None
        offset = (tries + 1) // 2 * (1 if tries % 2 else -1)  # the middle, then after it, then before it
        found = (span.first + span.last) // 2 + offset
        return found if span.first < found < span.last else None

    def answer(self, span: Span, ratio: float, middle: int, first_half: float | None) -> None:
        """What timing the middle against the first came to; None: it could not be timed."""
        if first_half is None:
            self.tried[span] = self.tried.get(span, 0) + 1
            if self.middle(span) is None:
                self.steps.append((span, ratio))
            else:
                self.pending.append((span, ratio))
            return
        halves = [(Span(span.first, middle), first_half), (Span(middle, span.last), ratio / first_half)]
        reaching = [half for half in halves if half[1] >= math.sqrt(self.min_step)]
        for half in reaching or [max(halves, key=lambda half: half[1])]:
            self._take(*half)

    def _take(self, span: Span, ratio: float) -> None:
        if span.size > 1:
            self.pending.append((span, ratio))
        elif ratio >= math.sqrt(self.min_step):
            self.steps.append((span, ratio))


def corrected(confidence: float, comparisons: int) -> float:
    """Confidence of each interval such that all of so many hold together: Bonferroni's correction."""
    return 1 - (1 - confidence) / max(1, comparisons)


def code_changes(chain: Sequence[str], touching: Sequence[bool]) -> list[str]:
    """The chain without changes that touch no code, oldest first; its first commit stays, as the base of the second."""
    return [sha for at, (sha, touches) in enumerate(zip(chain, touching, strict=True)) if touches or at == 0]
