"""Speedups are comparable if they were timed alike: same machine, same settings of it, same sandbox, images, meter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.store import Store
from storage.tables import Comparison, Machine, TimedSession

MIXED = "mixed_machines"
"""Flag of a score, and note of an instance, that rests on sessions with different fingerprints."""
HOW = "time all of them on one machine, or set scoring.allow_mixed_machines"
_FACTS = [name for name in Machine.model_fields if name not in ("machine_id", "seen_at")]


@dataclass(frozen=True)
class Fingerprints:
    """What sessions ran on."""

    sessions: dict[str, TimedSession]
    machines: dict[str, Machine]

    @classmethod
    def of(cls, rows: Sequence[Comparison], store: Store) -> Fingerprints:
        """Those of the sessions behind these comparisons."""
        keys = sorted({row.session_id for row in rows})
        sessions = store.rows(TimedSession, session_id=keys)
        ids = sorted({row.machine_id for row in rows} | {session.machine_id for session in sessions})
        machines = store.rows(Machine, machine_id=ids)
        return cls({row.session_id: row for row in sessions}, {row.machine_id: row for row in machines})

    def mixed(self, rows: Sequence[Comparison]) -> str:
        """How the fingerprints behind these comparisons differ, in words; empty if they do not.

        A session that is not in the store (an older store, a dataset) is known by the machine of its comparisons.
        """
        alike = {self.sessions[row.session_id].fingerprint for row in rows if row.session_id in self.sessions}
        if len(alike) < 2 and len({row.machine_id for row in rows}) < 2:
            return ""
        return f"{MIXED}: not all timed alike, they differ in {self._difference(rows)}; {HOW}"

    def _difference(self, rows: Sequence[Comparison]) -> str:
        known = [self.machines[key] for key in sorted({row.machine_id for row in rows} & self.machines.keys())]
        values = {name: list(dict.fromkeys(str(getattr(one, name)) for one in known)) for name in _FACTS}
        words = [f"{name} ({' / '.join(seen)})" for name, seen in values.items() if len(seen) > 1]
        sessions = [self.sessions[row.session_id] for row in rows if row.session_id in self.sessions]
        if len({one.sandbox for one in sessions}) > 1:
            words.append("sandbox (local / docker)")
        elif len({tuple(one.image_digests) for one in sessions}) > 1:
            words.append("container image")
        if len(meters := dict.fromkeys(one.meter or "unknown" for one in sessions)) > 1:
            words.append(f"meter of CPU time ({' / '.join(meters)})")
        return ", ".join(words) or "machine (" + " / ".join(sorted({row.machine_id for row in rows})) + ")"
