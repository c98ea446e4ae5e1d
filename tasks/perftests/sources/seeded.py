"""Source `seeded`: scripts that the user wrote, in either dialect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from storage.scripts import dialect_of
from tasks.code.python import PARSING
from tasks.perftests.models import Proposal


def from_scripts(scripts: Iterable[str], apis: Sequence[str]) -> list[Proposal]:
    """Proposals of the user's scripts. `apis` are dotted names, best first; a script gets the first it names."""
    proposals = []
    for number, script in enumerate(scripts, 1):
        with PARSING:
            dialect = dialect_of(script)
        proposals.append(Proposal(f"seeded_{number}", _api(script, apis), script, source="seeded", dialect=dialect))
    return proposals


def _api(script: str, apis: Sequence[str]) -> str:
    return next((api for api in apis if api.rsplit(".", 1)[-1] in script), apis[0] if apis else "")
