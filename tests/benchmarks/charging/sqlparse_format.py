"""sqlparse: statements formatted again. Import of some 50 modules; setup is next to nothing."""

import random

import sqlparse


def setup(seed):
    """Three statements of a dozen columns."""
    rng = random.Random(seed)
    made = []
    for _ in range(3):
        columns = ", ".join(f"t.c{rng.randrange(10**4)} as n{rng.randrange(10**4)}" for _ in range(12))
        made.append(f"select {columns} from t{rng.randrange(100)} t where t.x > {rng.randrange(10**6)} order by 1")
    return made


def experiment(state):
    """Format them."""
    return [sqlparse.format(text, reindent=True, keyword_case="upper") for text in state]


def check_equivalence(reference, candidate):
    """The same texts."""
    assert reference == candidate
