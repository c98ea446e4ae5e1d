"""How an attempt ended: said by its diff, the gateway and our clock. An agent's exit code and words are hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tasks.agents.gateway.models import Fault, Usage
from tasks.agents.patches import TakenPatch
from tasks.agents.running import Ended, How

AttemptStatus = Literal[
    "submitted", "empty_patch", "timeout", "budget", "model_unreachable", "refused", "crashed", "setup_failed"
]
_PROVIDER = ("unreachable", "hang", "cut", "nonsense", "rate_limited", "overloaded", "server_error")
"""Kinds of faults that pass, or would if a provider were there: through no fault of agent or configuration."""
_REFUSING = ("rejected", "redirected")
"""Kinds by which a provider says that it will not answer: a wrong key, an unknown model, a prompt that is too long."""

_LOST_S = 300.0
"""Without an answer for so long at the end of its time, an attempt says nothing about its agent."""
_CUT: dict[How, str] = {
    "disk": "ended: its files took more of the disk than they may, or it was nearly full",
    "memory": "ended: it took more memory than it may",
    "processes": "ended: it had more processes than it may",
    "killed": "ended from outside",
    "gateway": "ended: it went on when it was to stop",
}


@dataclass(frozen=True)
class Asked:
    """What the gateway knows of an attempt."""

    usage: Usage = field(default_factory=Usage)
    ended: str | None = None
    """Why it lets nothing more through. Example: `budget: 1.00 USD spent`."""
    faults: Sequence[Fault] = ()
    last_ok: datetime | None = None
    """When a provider last answered as it should."""
    refused: Sequence[str] = ()
    """Models and hosts that were asked for in vain."""

    def since_ok(self, kinds: Sequence[str]) -> Sequence[Fault]:
        """Faults of these kinds that nothing good came after."""
        return [
            fault for fault in self.faults if fault.kind in kinds and (not self.last_ok or fault.last > self.last_ok)
        ]


def outcome_of(
    ended: Ended, taken: TakenPatch, asked: Asked, denied: int = 0, told: str = ""
) -> tuple[AttemptStatus, str]:
    """(status, why). `denied`: tool calls that the agent itself did not allow; `told`: why it stopped, as it says."""
    if asked.ended is not None:
        kind, _, rest = asked.ended.partition(": ")
        return ("budget", rest or kind) if kind == "budget" else ("refused", asked.ended)
    well = ended.how == "itself" and ended.returncode == 0 and bool(taken.patch)
    if (faults := asked.since_ok(_PROVIDER)) and not (asked.last_ok and (well or _brief(ended, faults, asked.last_ok))):
        return "model_unreachable", f"{_listed(faults)}{'' if asked.last_ok else ', and no answer at all'}"
    if ended.how == "clock":
        return "timeout", f"still at work after {ended.seconds / 60:.3g} minutes{_unasked(asked)}"
    if ended.how in _CUT:
        took = f": {ended.disk_bytes >> 20} MiB" if ended.how == "disk" else _words(ended)
        return "crashed", f"{_CUT[ended.how]}{took}"
    if taken.patch:
        return "submitted", f"it ended with exit code {ended.returncode}{_words(ended)}" if ended.returncode else ""
    return _without_a_patch(ended, taken, asked, denied, told)


def _without_a_patch(
    ended: Ended, taken: TakenPatch, asked: Asked, denied: int, told: str
) -> tuple[AttemptStatus, str]:
    if faults := asked.since_ok(_REFUSING):
        return "refused", f"the provider refuses: {_listed(faults)}"
    if asked.refused and not asked.usage.requests:
        return "refused", f"it asked for what is not allowed: {', '.join(dict.fromkeys(asked.refused))[:300]}"
    if denied:
        calls = "a tool call" if denied == 1 else f"{denied} tool calls"
        return "refused", f"the agent itself denied {calls}, and nothing was changed"
    if ended.returncode != 0:
        return "crashed", f"it ended with exit code {ended.returncode}{_words(ended)}{_unasked(asked)}"
    said = f" (it says: {told[:200]})" if told else ""
    return "empty_patch", "; ".join([f"nothing was changed{said}{_unasked(asked)}", *taken.notes])


def _brief(ended: Ended, faults: Sequence[Fault], last_ok: datetime) -> bool:
    """Whether an agent that our clock ended had its answers but for the very last: its time was spent, not lost."""
    lost_s = (max(fault.last for fault in faults) - last_ok).total_seconds()
    return ended.how == "clock" and lost_s < min(_LOST_S, ended.seconds / 2)


def _words(ended: Ended) -> str:
    return f": {ended.last_line}" if ended.last_line else ""


def _unasked(asked: Asked) -> str:
    return "" if asked.usage.requests or asked.faults else "; it never asked its model anything"


def _listed(faults: Sequence[Fault]) -> str:
    """`12 x rate_limited (429)`, the most frequent first, with what was seen last."""
    found = sorted(faults, key=lambda fault: -fault.count)
    parts = [f"{fault.count} x {fault.kind}{f' ({fault.status})' if fault.status else ''}" for fault in found]
    detail = next((f": {fault.detail[:200]}" for fault in found if fault.detail), "")
    return ", ".join(parts) + detail
