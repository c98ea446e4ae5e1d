"""What the protocols share: the state of a session before it starts, its random numbers, the order of arms."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np

from tasks.timing.models import ArmState, SessionState
from tasks.timing.processes import SessionContext

Needed = Callable[[SessionState, float], set[str]]
"""(state, confidence of this look) -> arms whose questions are still open."""


def new_state(context: SessionContext) -> SessionState:
    """Nobody has run yet."""
    return SessionState(states={name: ArmState(name) for name in context.arms})


def in_order(context: SessionContext) -> list[str]:
    """Names of the arms: base, human, then the patches."""
    return sorted(context.arms, key=lambda name: (name != "base", name != "human", name))


def generator(context: SessionContext) -> np.random.Generator:
    """Where order and seeds come from: unpredictable, unless `timing.seed` fixes it."""
    seed = context.timing.seed
    return np.random.default_rng(secrets.randbits(64) if seed is None else seed)
