"""What the door of apis returns, and the one error that it raises."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ApisError(RuntimeError):
    """APIs cannot be looked for; the message says what to do."""


class FoundApis(BaseModel):
    """Public names that reach the changed functions; with their evidence they are rows in `apis`."""

    model_config = ConfigDict(frozen=True)

    sha: str
    apis: list[str]
    """Importable dotted names, best candidate first."""
    reason: str = ""
    """Why there are none, or what was dropped on the way; empty if there is nothing to say."""
    contract_changed: bool | None = None
    """Whether the change adds, removes or changes public names or signatures (table `contracts`); None: not known."""
