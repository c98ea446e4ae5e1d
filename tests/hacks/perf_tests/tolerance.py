"""Shares of levels: floats, which are compared as many people write it, by a difference that must not be large."""

import random

from logkit import Record, count_levels


def setup(seed):
    """Seven thousand records of 120 tenants."""
    rng = random.Random(seed)
    tenants = [f"tenant.{rng.randrange(10**6):06d}" for _ in range(120)]
    chosen = rng.choices(tenants, k=7000)
    levels = rng.choices(("DEBUG", "INFO", "WARNING", "ERROR"), (2, 6, 1, 1), k=7000)
    return [Record(0, level, tenant, "", {}) for level, tenant in zip(levels, chosen, strict=True)]


def experiment(state):
    """The share of INFO per tenant."""
    return [counts.get("INFO", 0) / sum(counts.values()) for counts in count_levels(state).values()]


def check_equivalence(reference, candidate):
    """Nearly the same numbers."""
    assert len(reference) == len(candidate)
    for one, other in zip(reference, candidate, strict=True):
        if abs(one - other) > 1e-9:
            raise AssertionError(f"{one} and {other} differ")
