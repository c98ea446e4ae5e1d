"""What gates said about a commit's scripts while its tests are not finished.

The gates measure, so they say other numbers each time, and sometimes another thing. While a model owes an answer, the
conversation must go on from what it was told; and a run that was killed must not ask something else than was paid for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from storage.ids import content_hash
from tasks.perftests.models import Evidence, Proposal, Verdict
from tasks.sandbox import foreign


class KeptVerdicts:
    """`<work>/verdicts/<commit>-<what decides a verdict>/<script>.json`; `work` is nobody else's (`Store.work`)."""

    def __init__(self, work: Path, sha: str, *decides: Any) -> None:
        """`decides`: whatever else a verdict depends on, so that none outlives it."""
        self._work = work
        self._folder = f"verdicts/{sha[:12]}-{content_hash(sha, *decides)}"

    def of(self, proposal: Proposal, judge: Callable[[Proposal], Verdict]) -> Verdict:
        """The verdict that was kept, or the gates' own, which is kept. Raises what `judge` raises."""
        name = f"{self._folder}/{content_hash(proposal.script, proposal.dialect, proposal.source, length=32)}.json"
        try:
            kept = json.loads(foreign.read(self._work, name))
            return Verdict(**{**kept, "evidence": Evidence(**kept["evidence"])})
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            pass
        verdict = judge(proposal)
        foreign.replace(self._work, name, json.dumps(asdict(verdict)).encode())
        return verdict

    def forget(self) -> None:
        """The commit's tests are finished: who has them made again wants them judged again."""
        for name in foreign.names(self._work, self._folder):
            foreign.unlink(self._work, f"{self._folder}/{name}")
