"""group_by_source on a log of many services."""

import random

from logkit import Record, group_by_source


def setup(seed):
    """Eight thousand records of 150 sources, in random order; nine hundred different ones."""
    rng = random.Random(seed)
    sources = [f"service-{rng.randrange(10**6):06d}.api" for _ in range(150)]
    records = [Record(time, "INFO", sources[time % 150], "event", {}) for time in range(900)]
    return rng.choices(records, k=8000)


def experiment(state):
    """Group them; the time of a record stands for it."""
    return [(source, [record.time for record in group]) for source, group in group_by_source(state)]


def check_equivalence(reference, candidate):
    """Same sources in the same order, with the same records in the same order."""
    assert [(source, list(times)) for source, times in candidate] == [(s, list(t)) for s, t in reference]
