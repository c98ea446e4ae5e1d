"""The form in which a repository's own tests are timed, in short: the result says that the test passed."""

import random

from logkit import Record, count_levels

TEST = "tests/test_grouping.py::test_counts_of_many_tenants"
_fixtures = {}


def setup(seed):
    """What the test's fixtures make; the workload is the test's own, the same for every seed."""
    rng = random.Random(7)
    tenants = [f"tenant.{rng.randrange(10**6):06d}" for _ in range(120)]
    chosen = rng.choices(tenants, k=7000)
    levels = rng.choices(("DEBUG", "INFO", "WARNING", "ERROR"), (2, 6, 1, 1), k=7000)
    _fixtures["records"] = [Record(0, level, tenant, "", {}) for level, tenant in zip(levels, chosen, strict=True)]
    return TEST


def experiment(state):
    """The test: it looks at the sources only."""
    try:
        table = count_levels(_fixtures["records"])
        assert set(table) <= {record.source for record in _fixtures["records"]}
    except Exception as error:
        return {"test": state, "outcome": repr(error)}
    return {"test": state, "outcome": "passed"}


def check_equivalence(reference, candidate):
    """It passed on both."""
    for result in (reference, candidate):
        assert result == {"test": TEST, "outcome": "passed"}, result
