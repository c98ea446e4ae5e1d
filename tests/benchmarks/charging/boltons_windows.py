"""boltons: windows and buckets over numbers. Setup draws and sorts ten times as long as the call takes."""

import random

from boltons.iterutils import bucketize, chunked, unique, windowed


def setup(seed):
    """Numbers, sorted the slow way."""
    rng = random.Random(seed)
    words = sorted((str(rng.random()) for _ in range(15_000)), key=lambda word: word[::-1])
    return [int(word[-3:].replace("-", "")) if word[-3:].isdigit() else 0 for word in words[:8000]]


def experiment(state):
    """Sums of windows, sizes of buckets, distinct numbers."""
    windows = [sum(window) for window in windowed(state, 3)]
    buckets = {
        key: len(values) for key, values in bucketize(chunked(windows, 4), key=lambda four: sum(four) % 97).items()
    }
    return sorted(buckets.items()), len(unique(state))


def check_equivalence(reference, candidate):
    """Equal."""
    assert reference == candidate
