"""Every field of a prediction and of an instance with every kind of value: a row or a reason, never an exception."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from storage.exchange.read import ALIASES, instance_from
from storage.records import plain
from storage.store import Store
from storage.tables import Instance, Prediction
from tasks.agents.predictions import NAMES, PATCHES, prediction_from

SCRIPT = "def setup(seed): ...\ndef experiment(state): ...\ndef check_equivalence(reference, candidate): ...\n"
PREDICTION = {"instance_id": "a__b-1", "model": "m", "model_patch": "x"}
INSTANCE = {"instance_id": "a__b-1", "repo": "a/b", "base_commit": "1", "patch": "d", "efficiency_test": [SCRIPT]}
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]
VALUES = [
    None, True, 0, -1, 2**63, -(2**63) - 1, 10**4000, 0.5, 1e308, float("inf"), float("-inf"), float("nan"), "", " ",
    "\0", "\ud800", "\udce9", "\U0010ffff", "\u2028", "\x1b[2J", "é" * 10_000, "../..", "-x", "a\nb", "1", [], [None],
    ["\ud800"], [[["x"]]], {}, {"a": None}, {"\ud800": 1}, DEEP, b"\xff",
    Decimal("1.5"), Decimal("NaN"), Decimal(10) ** 400,
    date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), datetime(1, 1, 1), [{"base": [1], "head": "x"}],
]  # fmt: skip


def test_predictions(tmp_path) -> None:
    names = {name for names in NAMES.values() for name in names} | set(PATCHES) | {"prompt", "status", "repo"}
    rows = [
        prediction_from(plain({**PREDICTION, name: value}), defaultdict(set))
        for name in sorted(names)
        for value in VALUES
    ]
    _all_can_be_written(tmp_path, rows, Prediction)


def test_instances(tmp_path) -> None:
    names = {name for names in ALIASES.values() for name in names} | set(Instance.model_fields) | {"perf_command"}
    rows = [instance_from(plain({**INSTANCE, name: value})) for name in sorted(names) for value in VALUES]
    _all_can_be_written(tmp_path, rows, Instance)


def _all_can_be_written(folder: Any, found: list[Any], kind: type) -> None:
    reasons = [one for one in found if isinstance(one, str)]
    rows = [one for one in found if not isinstance(one, str)]
    assert len(rows) > 100
    assert len(reasons) > 100
    assert all(reason.isprintable() and len(reason) < 1000 for reason in reasons)
    Store(folder / "store").append(rows)
    assert Store(folder / "store").rows(kind)


@pytest.mark.parametrize("name", ["instance_id", "repo"])
def test_no_name_leads_out_of_the_store(tmp_path, name) -> None:
    store = Store(tmp_path / "a" / "b" / "store")
    row = Prediction.model_validate({**PREDICTION, "prediction_id": "p", "sample": 0, name: "../../../../outside"})
    store.append([row])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert store.rows(Prediction) == [row]
