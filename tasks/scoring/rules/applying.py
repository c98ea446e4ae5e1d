"""One evaluation, read by anybody's rule."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import polars as pl

from configs.errors import UserError
from storage.store import Store
from tasks.scoring.rules import formula_code, from_store, gso, iso_bench, swe_fficiency, swe_perf
from tasks.scoring.rules.frames import RATIOS, TIMES


@dataclass(frozen=True)
class Rule:
    """A benchmark's rule: the columns that it reads, and the function that applies it."""

    score: Callable[[pl.DataFrame], pl.DataFrame]
    """Attempts to one row per model."""
    gathered: Callable[[Store, str | None], pl.DataFrame]
    """The attempts of a run of a store."""
    columns: Collection[str]
    """What the frame of attempts must have."""
    means: str


RULES = {
    "gso": Rule(gso.score, from_store.times, TIMES, "opt: share of instances whose patch matches the human's commit"),
    "swe-fficiency": Rule(swe_fficiency.score, from_store.ratios, RATIOS, "sr: harmonic mean of speedup / expert's"),
    "swe-perf": Rule(swe_perf.score, from_store.times, TIMES, "gain: share of base's time that is surely saved"),
    "formula-code": Rule(formula_code.score, from_store.ratios, RATIOS, "advantage: speedup less the expert's"),
    "iso-bench": Rule(iso_bench.score, from_store.ratios, RATIOS, "hard: share not worse than the human's by over 5 %"),
}


class RuleError(UserError):
    """No such rule, or a frame that lacks what it reads."""


def apply(source: Store | pl.DataFrame, rule: str, run_id: str | None = None) -> pl.DataFrame:
    """One row per model, best first: the rule's figures, `instances` and `attempts`.

    `source` is a store, of which `run_id` names the evaluation if it has several; or a frame of attempts with the
    columns that the rule reads (`frames.RATIOS` or `frames.TIMES`), measured by anybody. Raises RuleError, NoScores.

        apply(Store("store"), "swe-fficiency")
        apply(attempts_of_others, "iso-bench")
    """
    if rule not in RULES:
        raise RuleError(f"no rule '{rule}': there are {', '.join(sorted(RULES))}")
    chosen = RULES[rule]
    frame = source if isinstance(source, pl.DataFrame) else chosen.gathered(source, run_id)
    missing = [name for name in chosen.columns if name not in frame.columns]
    if missing:
        raise RuleError(
            f"rule '{rule}' reads columns {', '.join(chosen.columns)}; the frame lacks {', '.join(missing)}"
        )
    return chosen.score(frame)
