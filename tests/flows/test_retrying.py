"""Words of `--retry`: which remembered results they mean."""

from __future__ import annotations

import pytest

from configs.errors import UserError
from flows.engine.retrying import Retry
from storage.tables import Funnel

SHA = "4a1eddbfaec6ad2cf26975f14afff555ff2b8459"


def row(stage: str, outcome: str, reason: str = "") -> Funnel:
    return Funnel.model_validate({"run_id": "r", "stage": stage, "key": SHA, "outcome": outcome, "reason": reason})


@pytest.mark.parametrize(
    ("word", "before", "again"),
    [
        ("failed", row("perftests", "failed"), True),
        ("failed", row("perftests", "dropped", "coverage: nothing"), False),
        ("failed", row("environments", "dropped", "base commit does not import"), True),
        ("failed", None, False),
        ("inconclusive", row("timing", "dropped", "inconclusive: 1.02x [0.97, 1.07]"), True),
        ("inconclusive", row("timing", "dropped", "too_slow: 1.02x"), False),
        ("timing", row("timing", "kept"), True),
        ("timing", row("apis", "kept"), False),
        (SHA[:8], row("apis", "kept"), True),
        ("0123abc", row("apis", "kept"), False),
    ],
)
def test_a_word_means_these(word: str, before: Funnel | None, again: bool) -> None:
    retry = Retry([word], ("timing", "apis", "environments"))
    stage = before.stage if before else "apis"
    assert retry.wants(stage, SHA, {"sha": SHA}, before) is again


def test_a_perf_test_belongs_to_its_commit() -> None:
    assert Retry([SHA[:8]]).wants("timing", "t-12345678", {"test_id": "t-12345678"}, None, owner=SHA)


def test_a_word_that_is_too_short_to_mean_an_item_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"expected `failed`, `inconclusive`, a stage \(timing\)"):
        Retry(["time"], ("timing",))
