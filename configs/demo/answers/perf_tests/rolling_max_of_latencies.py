"""rolling_max on latencies, which rise and fall."""

import random

from logkit import rolling_max


def setup(seed):
    """Ten thousand latencies in microseconds, drawn from a thousand."""
    rng = random.Random(seed)
    return rng.choices([int(rng.lognormvariate(8, 1)) for _ in range(1000)], k=10_000)


def experiment(state):
    """The largest of each hundred neighbours."""
    return rolling_max(state, 100)


def check_equivalence(reference, candidate):
    """Same numbers."""
    assert list(candidate) == list(reference)
