"""Words of `--retry`: which remembered results they mean."""

from __future__ import annotations

import pytest

from configs.errors import UserError
from flows.engine.retrying import Retry
from flows.stages.evaluating import still_open
from storage.tables import Funnel
from tasks.timing.models import Session

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


def session(**verdicts: str) -> Session:
    """A session of patches with these verdicts, whose human is inconclusive against base."""
    answers = {
        "human": [{"arm": "human", "against": "base", "verdict": "inconclusive", "question": 1.2}],
        **{
            f"patch:{name}": [
                {"arm": f"patch:{name}", "against": "base", "verdict": "yes", "question": 1.2},
                {"arm": f"patch:{name}", "against": "human", "verdict": verdict, "question": 0.95},
            ]
            for name, verdict in verdicts.items()
        },
    }
    outcomes = [{"arm": arm, "status": "ok", "answers": said} for arm, said in answers.items()]
    return Session.model_validate(
        {
            "session_id": "s", "test_id": "t", "outcomes": outcomes, "n_rounds": 8, "number": 1, "duration_s": 1.0,
            "protocol": "interleaved", "machine_id": "m", "fingerprint": "f",
        }
    )  # fmt: skip


def test_an_evaluation_notes_which_patches_are_still_open() -> None:
    before = row("timing", "kept", still_open(session(a="no", b="inconclusive", c="yes")))
    assert before.reason == "inconclusive: patch:b"
    assert Retry(["inconclusive"]).wants("timing", SHA, {}, before)
    assert still_open(session(a="no", c="yes")) == "", "nobody scores the human in an evaluation"


def test_a_perf_test_belongs_to_its_commit() -> None:
    assert Retry([SHA[:8]]).wants("timing", "t-12345678", {"test_id": "t-12345678"}, None, owner=SHA)


def test_a_word_that_is_too_short_to_mean_an_item_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"expected `failed`, `inconclusive`, a stage \(timing\)"):
        Retry(["time"], ("timing",))
