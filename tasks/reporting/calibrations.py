"""What calibrations say about a machine: the noise of identical code, and which effects it tells apart in what time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import median, pstdev

from storage.tables import Calibration

ENOUGH = 0.95
"""Share of right verdicts from which on an effect counts as told apart."""
FEW = 10
"""Below this many sessions a share says little, and the words say so."""


@dataclass(frozen=True)
class Finding:
    """All comparisons of one machine, sandbox, protocol, workload and question."""

    machine_id: str
    sandbox: str
    protocol: str
    call: str
    true_ratio: float
    question: float
    sessions: int
    right: float
    wrong: float
    inconclusive: float
    spread: float
    """Standard deviation of the estimates' logs around the truth."""
    seconds: float
    """Median of a session."""

    @property
    def told(self) -> bool:
        """Whether enough of the verdicts are right."""
        return self.right >= ENOUGH


def findings(rows: Sequence[Calibration]) -> list[Finding]:
    """A finding per machine, sandbox, protocol, workload, truth and question, over all calibrations."""
    groups: dict[tuple[str, str, str, str, float, float], list[Calibration]] = defaultdict(list)
    for row in rows:
        groups[row.machine_id, row.sandbox, row.protocol, row.call, row.true_ratio, row.question].append(row)
    found = []
    for key, members in sorted(groups.items(), key=lambda item: (*item[0][:3], len(item[0][3]), *item[0][3:])):
        errors = [math.log(row.ratio / row.true_ratio) for row in members if row.ratio]
        inconclusive = sum(row.verdict == "inconclusive" for row in members) / len(members)
        right = sum(row.right for row in members) / len(members)
        found.append(
            Finding(
                *key,
                sessions=len(members),
                right=right,
                wrong=max(0.0, 1 - right - inconclusive),
                inconclusive=inconclusive,
                spread=pstdev(errors, 0.0) if errors else math.nan,
                seconds=median(row.seconds for row in members),
            )
        )
    return found


def conclusions(found: Sequence[Finding]) -> list[str]:
    """A sentence per machine, sandbox, protocol and workload: the smallest effect that it tells from half of it."""
    groups: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for item in found:
        groups[item.machine_id, item.sandbox, item.protocol, item.call].append(item)
    words = []
    for (*_, call), members in groups.items():
        same = [item for item in members if item.true_ratio == 1]
        effects = sorted((item for item in members if item.true_ratio > 1), key=lambda item: -item.true_ratio)
        told = list(takewhile(lambda item: item.told, effects))
        parts = []
        if same:
            parts.append(f"identical code reads {100 * max(item.spread for item in same):.1f} % off")
        if told:
            least = told[-1]
            parts.append(f"{_percent(least)} faster or more is told from half of it, in {least.seconds:.1f} s")
        if len(told) < len(effects):
            missed = effects[len(told)]
            parts.append(f"{_percent(missed)} only in {100 * missed.right:.0f} % of {missed.sessions} sessions")
        few = "; few sessions yet: go on" if min(item.sessions for item in members) < FEW else ""
        words.append(f"calls of {call}: {', '.join(parts)}{few}")
    return words


def _percent(item: Finding) -> str:
    return f"{100 * (item.true_ratio - 1):.0f} %"
