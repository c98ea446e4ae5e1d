"""Keeps the gates' verdicts on a commit's scripts until the commit's tests are finished.

The gates measure, so their numbers differ each time, and sometimes their verdicts. While a model owes an answer, the
conversation must go on from the verdict in the question; and a run that was killed must repeat the request that was
paid for.
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
    """`<work>/verdicts/<commit>-<hash of `decides`>/<script>.json`; `work` belongs to this user alone
    (`Store.work`)."""

    def __init__(self, work: Path, sha: str, *decides: Any) -> None:
        """`decides`: all other inputs of a verdict; with other inputs no kept verdict is found."""
        self._work = work
        self._folder = f"verdicts/{sha[:12]}-{content_hash(sha, *decides)}"

    def of(self, proposal: Proposal, judge: Callable[[Proposal], Verdict]) -> Verdict:
        """The kept verdict, or a new one of `judge`, which is then kept. Raises the errors of `judge`."""
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
        """Remove the verdicts of a commit whose tests are finished: when they are made again, the gates judge again."""
        for name in foreign.names(self._work, self._folder):
            foreign.unlink(self._work, f"{self._folder}/{name}")
