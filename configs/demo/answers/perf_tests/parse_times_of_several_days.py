"""parse_time on the stamps of a quiet service, some seconds apart."""

import random

from logkit import parse_time


def setup(seed):
    """Two thousand stamps in ascending order, from a random day on."""
    rng = random.Random(seed)
    day, second = rng.randrange(1, 28), 0
    stamps = []
    for _ in range(2000):
        second += rng.randrange(20)
        clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        stamps.append(f"2024-02-{day + second // 86400:02d}T{clock}")
    return stamps


def experiment(state):
    """Parse them one by one."""
    return [parse_time(stamp) for stamp in state]


def check_equivalence(reference, candidate):
    """Same seconds."""
    assert list(candidate) == list(reference)
