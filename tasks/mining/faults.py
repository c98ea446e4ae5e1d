"""Which failures a retry may cure."""

from __future__ import annotations

from tasks.llm import LlmError
from tasks.mining.errors import MiningError


def is_outside_fault(error: object) -> bool:
    """Whether the cause lies outside (network, model provider, disk), so that the same call may succeed later."""
    if isinstance(error, MiningError):
        return error.outside
    if isinstance(error, LlmError):
        return error.transient
    return isinstance(error, OSError)
