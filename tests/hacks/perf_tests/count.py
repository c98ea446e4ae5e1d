"""count_levels, which groups by source first, on a log with one source per tenant."""

import random

from logkit import Record, count_levels


def setup(seed):
    """Seven thousand records of 120 tenants, some of which write much more than others."""
    rng = random.Random(seed)
    tenants = [f"tenant.{rng.randrange(10**6):06d}" for _ in range(120)]
    chosen = rng.choices(tenants, [rng.uniform(0.5, 2) for _ in tenants], k=7000)
    levels = rng.choices(("DEBUG", "INFO", "WARNING", "ERROR"), (2, 6, 1, 1), k=7000)
    return [Record(0, level, tenant, "", {}) for level, tenant in zip(levels, chosen, strict=True)]


def experiment(state):
    """Count the levels of each tenant."""
    return count_levels(state)


def check_equivalence(reference, candidate):
    """Same counts, tenants in the same order."""
    assert candidate == reference
    assert list(candidate) == list(reference)
