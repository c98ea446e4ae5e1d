"""top_words on the texts of a log."""

import random

from logkit import top_words


def setup(seed):
    """Six thousand texts of 15 words, a third of them stop words; they repeat after three hundred."""
    rng = random.Random(seed)
    words = [f"word{number}" for number in range(800)] + ["the", "of", "and", "to", "in", "a"] * 65
    return [" ".join(rng.choices(words, k=15)) for _ in range(300)] * 20


def experiment(state):
    """Count their words."""
    return top_words(state, 50)


def check_equivalence(reference, candidate):
    """Same words with the same numbers, in the same order."""
    assert [tuple(pair) for pair in candidate] == [tuple(pair) for pair in reference]
