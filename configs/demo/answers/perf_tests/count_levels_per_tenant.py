"""count_levels, which groups by source first, on a log with one source per tenant."""

import random

from logkit import Record, count_levels


def setup(seed):
    """Eight thousand records of 120 tenants, some of which write more than others; they repeat after four hundred."""
    rng = random.Random(seed)
    tenants = [f"tenant.{rng.randrange(10**6):06d}" for _ in range(120)]
    levels = rng.choices(("DEBUG", "INFO", "WARNING", "ERROR"), (2, 6, 1, 1), k=400)
    return [Record(0, level, rng.choice(tenants), "", {}) for level in levels] * 20


def experiment(state):
    """Count the levels of each tenant."""
    return count_levels(state)


def check_equivalence(reference, candidate):
    """Same counts, tenants in the same order."""
    assert candidate == reference
    assert list(candidate) == list(reference)
