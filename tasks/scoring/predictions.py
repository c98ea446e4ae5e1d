"""From the sessions of one instance to the scores of its predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from configs.models import ScoringConfig
from storage.ids import patch_arm, patch_id
from storage.store import Store
from storage.tables import Comparison, Prediction, Score, ScoreStatus
from tasks.scoring.aggregate import Verdict, both, combine
from tasks.scoring.instances import speedup_of
from tasks.scoring.machines import MIXED, Fingerprints

DISTRUSTED = frozenset(
    {
        "claim_unconfirmed",
        "clocks_disagree",
        "unmetered",
        "other_result_type",
        "results_not_compared",
    }
)
"""Flags that a success cannot carry: where one would, the answer is `inconclusive`."""

NOT_CONFIRMED = "not_confirmed"
"""Flag of a comparison whose success was not confirmed with nobody but base and human beside the arm."""


class Scored(BaseModel):
    """Status and answer per prediction."""

    model_config = ConfigDict(frozen=True)

    instance_id: str
    statuses: dict[str, ScoreStatus]
    solved: list[str]
    """Predictions that reach the human."""
    open: list[str] = []
    """Predictions of which it is not known whether they do."""

    def outcome(self, prediction_id: str) -> str:
        """Why a prediction counts or does not, in words: its status, where that says it."""
        if prediction_id in self.solved:
            return "reaches the human"
        if self.statuses[prediction_id] != "ok":
            return self.statuses[prediction_id]
        return "inconclusive" if prediction_id in self.open else "does not reach the human"


def build_scores(
    instance_id: str,
    prediction_ids: Sequence[str],
    session_ids: Sequence[str],
    failed_patches: Mapping[str, str],
    scoring: ScoringConfig,
    run_id: str,
    store: Store,
    incorrect_patches: Mapping[str, str] = MappingProxyType({}),
    weakly_checked: bool = True,
) -> Scored:
    """Append one score per prediction.

    `failed_patches`: patch id -> reason, of patches that could not be applied or built; `incorrect_patches`, likewise,
    of those that fail the repository's own tests. A prediction is timed as the arm `patch:<patch id>`; equal patches
    share it. It is correct if it was on every perf test; speedups are
    combined over the tests, geometric against base and harmonic against human. Raises
    KeyError for predictions not in the store.
    """
    found = {row.prediction_id: row for row in store.rows(Prediction, prediction_id=list(prediction_ids))}
    missing = [key for key in prediction_ids if key not in found]
    if missing:
        raise KeyError(f"predictions not in the store: {', '.join(missing)}")
    rows = store.rows(Comparison, session_id=list(session_ids))
    fingerprints = Fingerprints.of(rows, store)
    scores = [
        score(found[key], rows, failed_patches, scoring, run_id, fingerprints, incorrect_patches, weakly_checked)
        for key in prediction_ids
    ]
    store.append(scores)
    return Scored(
        instance_id=instance_id,
        statuses={row.prediction_id: row.status for row in scores},
        solved=[row.prediction_id for row in scores if row.opt_human == "yes"],
        open=[row.prediction_id for row in scores if row.opt_human == "inconclusive"],
    )


def score(
    prediction: Prediction,
    comparisons: Sequence[Comparison],
    failed_patches: Mapping[str, str],
    scoring: ScoringConfig,
    run_id: str,
    fingerprints: Fingerprints,
    incorrect_patches: Mapping[str, str] = MappingProxyType({}),
    weakly_checked: bool = True,
) -> Score:
    """The score of one prediction by all comparisons of its instance.

    Without speedups, as `not_timed`, if sessions with different fingerprints would have to be combined; where the
    configuration allows it, with the flag `mixed_machines`.
    """
    common: dict[str, Any] = {
        "prediction_id": prediction.prediction_id,
        "run_id": run_id,
        "instance_id": prediction.instance_id,
        "repo": prediction.repo,
        "model": prediction.contender,
        "sample": prediction.sample,
        "weakly_checked": weakly_checked,
    }
    if not prediction.model_patch.strip():
        return _unsolved(common, "empty_patch", prediction.status if prediction.status != "submitted" else "")
    key = patch_id(prediction.model_patch)
    if key in failed_patches or key in incorrect_patches:
        status: ScoreStatus = "patch_failed" if key in failed_patches else "incorrect"
        return _unsolved(common, status, failed_patches.get(key) or incorrect_patches[key])
    mine = [row for row in comparisons if row.arm == patch_arm(key)]
    base = [row for row in mine if row.against == "base"]
    human = [row for row in mine if row.against == "human"]
    flags = sorted({flag for row in mine for flag in row.flags})
    sessions = sorted({row.session_id for row in mine})
    common |= {"flags": flags, "session_id": sessions[0] if len(sessions) == 1 else None}
    if not base or "base_failed" in flags:
        return _unsolved(common, "not_timed", base[0].reason if base else "no session timed this patch")
    for failure in ("incorrect", "error", "timeout"):
        for row in base:
            if row.status == failure:
                return _unsolved(common, row.status, row.reason)
    mixed = fingerprints.mixed(mine)
    if mixed and not scoring.allow_mixed_machines:
        return _unsolved(common, "not_timed", mixed)
    return _solved_or_not(common, base, human, scoring, [*flags, MIXED] if mixed else flags)


def _solved_or_not(
    common: dict[str, Any],
    base: Sequence[Comparison],
    human: Sequence[Comparison],
    scoring: ScoringConfig,
    flags: Sequence[str],
) -> Score:
    against_base = combine([speedup_of(row) for row in base]) if all(row.ratio is not None for row in base) else None
    known = bool(human) and all(row.ratio is not None for row in human)
    against_human = combine([speedup_of(row) for row in human], "harmonic") if known else None
    opt_base = against_base.verdict(scoring.min_speedup) if against_base else "inconclusive"
    reaches = against_human.verdict(scoring.opt_threshold) if against_human else "inconclusive"
    # beside a human who is barely faster than base, a patch that does nothing has 0.95 of the human's speed
    faster = against_base.above(1.0) if against_base else "inconclusive"
    opt_base, opt_human = _confirmed(opt_base, base), _confirmed(both(reaches, faster), human)
    reasons = [row.reason for row in human if row.ratio is None and row.reason]
    if both(reaches, faster) != reaches:
        reasons.append(f"faster than base? {faster}: {against_base or 'no ratio'}")
    distrusted = sorted(DISTRUSTED & set(flags))
    if distrusted:
        opt_base, opt_human = ("inconclusive" if answer == "yes" else answer for answer in (opt_base, opt_human))
    return Score(
        **{**common, "flags": sorted(flags)},
        status="ok",
        reason=f"not trusted: {', '.join(distrusted)}" if distrusted else "".join(reasons[:1]),
        correct=True,
        speedup_base=against_base.ratio if against_base else None,
        speedup_human=against_human.ratio if against_human else None,
        ci_low=against_human.low if against_human else None,
        ci_high=against_human.high if against_human else None,
        base_ci_low=against_base.low if against_base else None,
        base_ci_high=against_base.high if against_base else None,
        opt_base=opt_base,
        opt_human=opt_human,
    )


def _confirmed(answer: Verdict, rows: Sequence[Comparison]) -> Verdict:
    """The answer, unless the arm was fast enough only while other patches were timed beside it."""
    refuted = {row.verdict for row in rows if NOT_CONFIRMED in row.flags}
    if answer != "yes" or not refuted:
        return answer
    return "no" if "no" in refuted else "inconclusive"


def _unsolved(common: dict[str, Any], status: ScoreStatus, reason: str) -> Score:
    """No speedup. What was never timed for a fault of ours is not the model's failure: its answer stays open."""
    answer = "inconclusive" if status == "not_timed" else "no"
    return Score(
        **common,
        status=status,
        reason=reason,
        correct=False if status == "incorrect" else None,
        speedup_base=None,
        speedup_human=None,
        ci_low=None,
        ci_high=None,
        opt_base=answer,
        opt_human=answer,
    )
