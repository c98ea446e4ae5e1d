"""group_by_source, whose result the script itself writes to a file and reads again: with pickle."""

import pickle
import random

from logkit import Record, group_by_source


def setup(seed):
    """Seven thousand records of 120 sources, in random order."""
    rng = random.Random(seed)
    sources = [f"service-{rng.randrange(10**6):06d}.api" for _ in range(120)]
    return [Record(time, "INFO", source, "event", {}) for time, source in enumerate(rng.choices(sources, k=7000))]


def experiment(state):
    """Group them."""
    return group_by_source(state)


def store_result(result, path):
    """The groups as they are."""
    with open(path, "wb") as file:
        pickle.dump([group if type(group) is not tuple else (group[0], len(group[1])) for group in result], file)


def load_result(path):
    """The groups again."""
    with open(path, "rb") as file:
        return pickle.load(file)


def check_equivalence(reference, candidate):
    """Same sources in the same order, with as many records."""
    sizes = [[(s, g if isinstance(g, int) else len(g)) for s, g in result] for result in (reference, candidate)]
    assert sizes[0] == sizes[1]
