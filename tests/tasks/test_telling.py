"""Results that are the same for a stub are known for what they are."""

import json
from typing import Any

import numpy as np
import pytest

from tasks.sandbox.probe.inside.encoding import encode
from tasks.telling import says_nothing

SCRIPT = """
NODEID = "tests/test_words.py::test_top"

def experiment(state):
    return {"test": NODEID, "outcome": "passed", "calls": 7}
"""


def stored(value: Any) -> bytes:
    """As store_result's file arrives."""
    return b"f\0" + json.dumps(value).encode()


def encoded(value: Any) -> bytes:
    """As a plain result arrives."""
    return b"v" + encode(value)


@pytest.mark.parametrize(
    "value", [{"test": "tests/test_words.py::test_top", "outcome": "passed", "seen": []}, "passed", ["passed", True], 7]
)
@pytest.mark.parametrize("written", [stored, encoded])
def test_a_verdict_on_a_fixed_workload_says_nothing(value: Any, written: Any) -> None:
    assert says_nothing(written(value), SCRIPT, fixed=True)
    assert not says_nothing(written(value), SCRIPT, fixed=False)  # other seeds may give another


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("value", [None, [], {}, "", (), [None, ""]])
def test_nothing_says_nothing(value: Any, fixed: bool) -> None:
    assert says_nothing(encoded(value), SCRIPT, fixed)


@pytest.mark.parametrize(
    "value", [8, 0.25, "w0", ["passed", "w0"], {"passed": 3.5}, list(range(20)), [True] * 20, np.zeros(3), {"a": 1}]
)
@pytest.mark.parametrize("fixed", [True, False])
def test_what_is_computed_says_something(value: Any, fixed: bool) -> None:
    assert not says_nothing(encoded(value), SCRIPT, fixed)


@pytest.mark.parametrize("result", [b"f.npy\0\x93NUMPY", b"v" + b"[" * 100_000, b"v", b"", b"f"])
def test_what_cannot_be_read_is_taken_to_say_something(result: bytes) -> None:
    assert not says_nothing(result, SCRIPT, fixed=True)
