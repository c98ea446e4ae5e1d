"""What went wrong on the way to providers, counted by kind."""

from __future__ import annotations

from datetime import UTC, datetime

from tasks.agents.gateway.models import Fault, FaultKind


def kind_of(status: int) -> FaultKind | None:
    """What a provider's status says; None for an answer."""
    if status < 300:
        return None
    if status < 400:
        return "redirected"
    if status == 429:
        return "rate_limited"
    if status in (503, 529):
        return "overloaded"
    return "server_error" if status >= 500 else "rejected"


class Faults:
    """The faults of one attempt. Written in one event loop; read from other threads."""

    def __init__(self) -> None:
        self.last_ok: datetime | None = None
        """When a provider last answered a request as it should."""
        self.since_ok = 0
        """Requests since then that none answered."""
        self._found: dict[tuple[FaultKind, int | None], Fault] = {}

    def note(self, kind: FaultKind, status: int | None = None, detail: str = "") -> None:
        """One more of this kind."""
        now = datetime.now(UTC)
        known = self._found.get((kind, status))
        self._found[kind, status] = Fault(
            kind=kind,
            status=status,
            count=known.count + 1 if known else 1,
            first=known.first if known else now,
            last=now,
            detail=detail[:500],
        )
        if kind not in ("agent_left", "not_recorded"):
            self.since_ok += 1

    def ok(self) -> None:
        """A provider answered."""
        self.last_ok = datetime.now(UTC)
        self.since_ok = 0

    def seen(self) -> list[Fault]:
        """All of them, in the order in which kinds first came."""
        return list(self._found.values())
