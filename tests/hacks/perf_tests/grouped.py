"""count_levels on records that setup has sent through another function of the library, which the change made faster."""

import random

from logkit import Record, count_levels, group_by_source


def setup(seed):
    """Seven thousand records of 120 tenants, all of which are there."""
    rng = random.Random(seed)
    tenants = [f"tenant.{rng.randrange(10**6):06d}" for _ in range(120)]
    chosen = rng.choices(tenants, k=7000)
    levels = rng.choices(("DEBUG", "INFO", "WARNING", "ERROR"), (2, 6, 1, 1), k=7000)
    records = [Record(0, level, tenant, "", {}) for level, tenant in zip(levels, chosen, strict=True)]
    assert len(group_by_source(records)) == len(set(chosen))
    return records


def experiment(state):
    """Count the levels of each tenant."""
    return count_levels(state)


def check_equivalence(reference, candidate):
    """Same counts, tenants in the same order."""
    assert candidate == reference
    assert list(candidate) == list(reference)
