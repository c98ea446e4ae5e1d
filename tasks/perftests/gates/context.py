"""The input of gates, and the error with which they reject a script."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tasks.perftests.models import Proposal
from tasks.perftests.targets import Targets
from tasks.sandbox.models import Arm, Limits, Sandbox
from tasks.sandbox.probe.inside.encoding import encode
from tasks.sandbox.probe.session import ProbeError, ProbeSession

INSIDE = Path(__file__).parent / "inside"
WATCH = Path(__file__).parents[1] / "inside" / "watch.py"
SEED, OTHER_SEED, THIRD_SEED, STUB_SEED = 20_240_229, 7, 1_000_003, 15_485_863
OWN_CODE = ("pytest", "asv")
"""Sources whose scripts carry the repository's own code, with one workload for every seed."""
_EMPTY_VALUES: tuple[object, ...] = (None, "", b"", [], (), {}, set(), frozenset())
EMPTY = tuple(encode(value) for value in _EMPTY_VALUES)


class GateFailed(Exception):
    """A script did not pass."""

    def __init__(self, gate: str, detail: str) -> None:
        super().__init__(f"{gate}: {detail}")
        self.gate = gate
        self.detail = detail


class OutOfTime(GateFailed):
    """The gates took too long together."""


@dataclass(frozen=True)
class Bench:
    """The arms, the sandbox and the change on which a script is tried."""

    sandbox: Sandbox
    work: Path
    """`Store.work`."""
    base: Arm
    human: Arm
    targets: Targets
    limits: Limits
    patch: str = ""
    """The human's unified diff."""

    @property
    def root(self) -> str:
        """Folder of base's files as its code names it."""
        return self.base.seen_at(self.work, self.sandbox)

    def session(self, arm: Arm, clock: Clock, checker: bool = False) -> ProbeSession:
        """A process of an arm, not yet started."""
        return ProbeSession(self.sandbox, arm, self.work, limits=self.limits, timeout_s=clock.left_s, checker=checker)


class Clock:
    """The time that all gates of a script share."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._end = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """Seconds left, at least 0.1."""
        return max(0.1, self._end - time.monotonic())

    def check(self, gate: str) -> None:
        """Raise GateFailed if time is up."""
        if time.monotonic() > self._end:
            raise OutOfTime(gate, f"the gates took longer than {self._limit_s:g} s: make the workload smaller")


def once(proposal: Proposal) -> str:
    """The script with one call of the repository's own code per experiment: enough to watch it, and fifty times
    cheaper where watching slows each call down."""
    return f"{proposal.script}\nNUMBER = COPIES = 1\n" if proposal.source in OWN_CODE else proposal.script


def varies(proposal: Proposal) -> bool:
    """Whether the workload must follow the seed; false for the repository's own code and for gso scripts."""
    return proposal.dialect == "isobench" and proposal.source not in OWN_CODE


def explain(error: ProbeError) -> str:
    """The error with the end of its traceback: the part that helps to repair."""
    tail = "\n".join(error.traceback.strip().splitlines()[-12:])
    return f"{error.message}\n{tail}" if tail and tail not in error.message else error.message
