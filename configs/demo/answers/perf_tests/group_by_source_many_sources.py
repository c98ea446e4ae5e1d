"""group_by_source on a log of many services."""

import random

from logkit import Record, group_by_source


def setup(seed):
    """Nine thousand records of 150 sources, in an order that repeats after six hundred."""
    rng = random.Random(seed)
    sources = [f"service-{rng.randrange(10**6):06d}.api" for _ in range(150)]
    records = [Record(time, "INFO", sources[time % 150], "event", {}) for time in range(600)]
    rng.shuffle(records)
    return records * 15


def experiment(state):
    """Group them; the time of a record stands for it."""
    return [(source, [record.time for record in group]) for source, group in group_by_source(state)]


def check_equivalence(reference, candidate):
    """Same sources in the same order, with the same records in the same order."""
    assert [(source, list(times)) for source, times in candidate] == [(s, list(t)) for s, t in reference]
