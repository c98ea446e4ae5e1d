"""What the protocols share: the race before it starts, its random numbers, the order of arms."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np

from tasks.timing.models import ArmState, Race
from tasks.timing.processes import Track

Needed = Callable[[Race, float], set[str]]
"""(race, confidence of this look) -> arms whose questions are still open."""


def new_race(track: Track) -> Race:
    """Nobody has run yet."""
    return Race(states={name: ArmState(name) for name in track.arms})


def in_order(track: Track) -> list[str]:
    """Names of the arms: base, human, then the patches."""
    return sorted(track.arms, key=lambda name: (name != "base", name != "human", name))


def generator(track: Track) -> np.random.Generator:
    """Where order and seeds come from: unpredictable, unless `timing.seed` fixes it."""
    seed = track.timing.seed
    return np.random.default_rng(secrets.randbits(64) if seed is None else seed)
