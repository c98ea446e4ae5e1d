"""What calibrations are said to say, by hand-made rows; and their section on the page."""

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.store import Store
from storage.tables import Calibration
from tasks.reporting.calibrations import conclusions, findings
from tasks.reporting.digests import digest
from tasks.reporting.report import render


def rows(true_ratio: float, question: float, verdicts: list[str], ratios: list[float], first: int = 0):
    demanded = "yes" if true_ratio >= question else "no"
    return [
        Calibration(
            calibration_id="c", number=first + index, machine_id="m", sandbox="local", protocol="interleaved",
            call="30 ms", call_s=0.03, true_ratio=true_ratio, question=question, verdict=verdict,
            right=verdict == demanded, ratio=ratio, ci_low=0.9, ci_high=1.3, n_rounds=8, seconds=2.0 + index,
            started_at=datetime(2024, 1, 1, tzinfo=UTC),
        )
        for index, (verdict, ratio) in enumerate(zip(verdicts, ratios, strict=True))
    ]  # fmt: skip


ROWS = [
    *rows(1.0, 1.2, ["no"] * 10, [1.01, 1 / 1.01] * 5),
    *rows(1.1, 1.05, ["yes"] * 10, [1.1] * 10, first=10),
    *rows(1.05, 1.025, ["yes"] * 5 + ["inconclusive"] * 4 + ["no"], [1.05] * 10, first=20),
]


def test_shares_noise_and_seconds():
    same, five, ten = findings(ROWS)
    assert (same.true_ratio, five.true_ratio, ten.true_ratio) == (1.0, 1.05, 1.1)
    assert same.spread == pytest.approx(math.log(1.01))
    assert (five.right, five.wrong, five.inconclusive) == pytest.approx((0.5, 0.1, 0.4))
    assert (ten.right, ten.seconds, ten.sessions) == (1.0, 6.5, 10)


def test_the_smallest_effect_that_is_told():
    (sentence,) = conclusions(findings(ROWS))
    assert sentence == (
        "calls of 30 ms: identical code reads 1.0 % off, 10 % faster or more is told from half of it, in 6.5 s, "
        "5 % only in 50 % of 10 sessions"
    )
    (sentence,) = conclusions(findings(ROWS[10:14]))
    assert sentence.endswith("few sessions yet: go on")


def test_the_page_has_the_section_once_there_are_rows(tmp_path: Path):
    store = Store(tmp_path / "store")
    store.append(rows(1.1, 1.05, ["yes"], [1.1]))
    before = digest(store)
    assert "10 % faster or more" in render(store)
    store.append(ROWS)
    assert digest(store) != before
    assert "5 right, 4 inconclusive, 1 wrong" in render(store)
