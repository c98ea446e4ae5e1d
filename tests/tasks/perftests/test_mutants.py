"""Wrong results that the gate `check` makes: which of them careless checks accept, and that none gets past both."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tasks.perftests.gates.inside import mutants
from tasks.perftests.gates.isolation import SAID
from tasks.sandbox.probe.inside.structure import difference

MAY_BE_ACCEPTED = {"order", "types", "zeros"}


def exact(reference: Any, candidate: Any) -> bool:
    return bool(reference == candidate)


def near(reference: Any, candidate: Any) -> None:
    """As many people write it."""
    for one, other in zip(reference, candidate, strict=False):
        if abs(one - other) > 1e-9:
            raise AssertionError((one, other))


def near_array(reference: Any, candidate: Any) -> None:
    if (abs(reference - candidate) > 1e-9).any():
        raise AssertionError


def counts(check: Any, value: Any, monkeypatch: pytest.MonkeyPatch, structure: bool = True) -> dict[str, list[int]]:
    monkeypatch.setattr(mutants, "STRUCTURE", {"difference": difference} if structure else {})
    with pytest.raises(AssertionError, match=r"^MUTANTS") as caught:
        mutants.show_mutants(check)(value, value)
    found: dict[str, list[int]] = json.loads(str(caught.value).removeprefix("MUTANTS"))
    return found


VALUES: list[Any] = [
    [1.5, 0.0, 2.5], (1.5, 2.5), {"a": [1.5], "b": [2.0]}, {"a": 1, "b": 2}, "text", 7, 2.5, {1, 2}, [[1], [2, 3]],
    None, [("a", 1), ("b", 2)], [True, False], np.array([1.5, 2.5]), np.array([[1, 2], [3, 4]]),
    b"bytes", [math.nan, 1.0, 2.0],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_an_exact_check_rejects_all_but_what_may_be_accepted(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check = np.array_equal if isinstance(value, np.ndarray) else exact
    found = counts(check, value, monkeypatch, structure=False)
    assert {kind for kind, (script, _, _) in found.items() if script} <= MAY_BE_ACCEPTED
    assert set(found) <= {*SAID, *MAY_BE_ACCEPTED}


CARELESS: list[tuple[Any, Any, set[str]]] = [
    (near, [1.5, 0.0, 2.5], {"nan", "empty", "items", "longer"}),
    (near, (1.5, 2.5), {"nan", "empty", "items", "longer"}),
    (near_array, np.array([1.5, 2.5]), {"nan"}), (near, [1, 2, 3], {"empty", "items", "longer"}),
]  # fmt: skip


@pytest.mark.parametrize(("check", "value", "kinds"), CARELESS, ids=[str(value) for _, value, _ in CARELESS])
def test_what_a_careless_check_lets_pass_the_structure_does_not(
    check: Any, value: Any, kinds: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = counts(check, value, monkeypatch, structure=False)
    assert kinds <= {kind for kind, (script, _, made) in alone.items() if script == made}
    together = counts(check, value, monkeypatch)
    assert {kind for kind, (_, both, _) in together.items() if both} <= MAY_BE_ACCEPTED


def test_a_check_that_looks_at_nothing_accepts_changed_values_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counts(lambda *_: None, [1.5, 2.5], monkeypatch)
    assert {kind for kind, (_, both, _) in found.items() if both} == {"values", "one value", "order", "types"}


def test_what_is_no_number_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [wrong for kind, wrong in mutants.mutants_of([math.nan, 1.0]) if kind == "infinite"]
    assert all(math.isnan(wrong[0]) and wrong[1] == math.inf for wrong in made)
    assert made
