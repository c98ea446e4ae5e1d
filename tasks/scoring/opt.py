"""Opt@K: how often at least one of K attempts reaches the human.

What is estimated: instances are a sample of all instances that could have been built like these, and the attempts at an
instance are exchangeable draws of what the model would hand in for it. Opt@K is the mean, over such instances, of the
probability that at least one of K attempts succeeds. Per instance it is estimated without bias from n >= K attempts
(`at_least_one`); the interval is that of a mean of independent values between 0 and 1 (`bounded_mean`).

What has no answer is not guessed. An attempt that was never timed (`not_timed`) is no attempt. An instance that the
model attempted, but with fewer than K answers, is left out and counted; where no instance has K, there is no Opt@K. An
instance that the model did not attempt at all counts as not solved, as in GSO: leaving out what is hard earns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from storage.store import Store
from storage.tables import OptAtK, Score
from tasks.scoring.bounded_mean import mean_interval

COLUMNS = ("model", "instance_id", "status", "opt_human", "weakly_checked")
"""Columns of scores that Opt@K depends on."""


class Ranked(BaseModel):
    """Opt@K per model."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    rows: list[OptAtK]


@dataclass(frozen=True)
class Tally:
    """Instances of one model that are alike: how many they are, and how many attempts at each said what."""

    instances: int
    attempts: int
    answered: int
    yes: int
    open: int
    """`yes` or `inconclusive`."""
    weakly_checked: bool


def at_least_one(n: int, c: int, k: int) -> float:
    """Probability that k attempts, drawn without replacement from n of which c succeed, hold a success.

    The unbiased estimator 1 - C(n - c, k) / C(n, k) of Chen et al., "Evaluating Large Language Models Trained on Code",
    2021. Raises ValueError if there are fewer than k attempts: it is not known then.
    """
    if n < k:
        raise ValueError(f"{n} attempts do not tell what {k} would do")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def opt_at_k(
    run_id: str, scores: pl.DataFrame | Sequence[Score], instance_ids: Iterable[str], ks: Iterable[int]
) -> list[OptAtK]:
    """One row per model and k, best Opt@1 first; models without one come last.

    `scores` are rows, or a frame with their columns (`COLUMNS`; without `weakly_checked` all are). Every model is
    measured on all of `instance_ids`. `inconclusive` is a failure in `opt` and `opt_if_inconclusive_no`, a success in
    `opt_if_inconclusive_yes`. Intervals are at 95 %.
    """
    found = []
    instances, numbers = sorted(set(instance_ids)), sorted(set(ks))
    for model, tallies in _tallies(scores, instances).items():
        found += [_row(run_id, model, k, tallies) for k in numbers]
    first = {row.model: -1.0 if row.opt is None else row.opt for row in reversed(found)}
    return sorted(found, key=lambda row: (-first[row.model], row.model, row.k))


def _tallies(scores: pl.DataFrame | Sequence[Score], instances: Sequence[str]) -> dict[str, list[Tally]]:
    """Model -> its instances, those that it did not attempt included."""
    frame = scores if isinstance(scores, pl.DataFrame) else pl.DataFrame(_columns(scores))
    if "weakly_checked" not in frame.columns:
        frame = frame.with_columns(weakly_checked=pl.lit(True))
    timed = pl.col("status") != "not_timed"
    by_instance = (
        frame.lazy()
        .group_by("model", "instance_id")
        .agg(
            attempts=pl.len(),
            answered=timed.sum(),
            yes=(timed & (pl.col("opt_human") == "yes")).sum(),
            open=(timed & (pl.col("opt_human") != "no")).sum(),
            weakly_checked=pl.col("weakly_checked").any(),
        )
        .filter(pl.col("instance_id").is_in(instances))
        .collect()
    )
    weak = set(by_instance.filter("weakly_checked")["instance_id"].to_list())
    found: dict[str, list[Tally]] = {}
    alike = ["model", "attempts", "answered", "yes", "open", "weakly_checked"]
    for model, *numbers, count in by_instance.group_by(alike).len().sort(alike).iter_rows():
        found.setdefault(model, []).append(Tally(count, *numbers))
    for (model,), mine in by_instance.group_by("model"):
        absent = set(instances) - set(mine["instance_id"].to_list())
        for is_weak, count in ((False, len(absent - weak)), (True, len(absent & weak))):
            if count:
                found[str(model)].append(Tally(count, 0, 0, 0, 0, is_weak))
    return found


def _columns(scores: Sequence[Score]) -> dict[str, pl.Series]:
    kinds = {"weakly_checked": pl.Boolean}
    return {
        name: pl.Series(name, [getattr(row, name) for row in scores], kinds.get(name, pl.String)) for name in COLUMNS
    }


def _row(run_id: str, model: str, k: int, tallies: Sequence[Tally]) -> OptAtK:
    attempted = [one for one in tallies if one.attempts]
    counted = [one for one in tallies if one.answered >= k or not one.attempts]
    most = max(one.attempts for one in attempted)
    known = any(one.attempts for one in counted)
    opt, low, high = _estimate(counted, k) if known else (None, None, None)
    checked = [one for one in counted if not one.weakly_checked]
    alike = len(checked) == len(counted)
    checked_opt, checked_low, checked_high = (
        (opt, low, high) if alike else _estimate(checked, k) if known else (None, None, None)
    )
    possible = _mean(counted, [_value(one.answered, one.open, k) for one in counted]) if known else None
    return OptAtK(
        run_id=run_id,
        model=model,
        k=k,
        opt=opt,
        ci_low=low,
        ci_high=high,
        opt_if_inconclusive_no=opt,
        opt_if_inconclusive_yes=possible,
        n_instances=sum(one.instances for one in counted) if known else 0,
        n_samples=sum(one.instances * one.answered for one in counted) if known else 0,
        n_unattempted=sum(one.instances for one in tallies if not one.attempts),
        n_left_out=sum(one.instances for one in attempted if one.answered < k),
        n_missing=sum(one.instances * (most - one.attempts) for one in tallies),
        n_not_timed=sum(one.instances * (one.attempts - one.answered) for one in tallies),
        reason="" if known else _why(k, attempted),
        opt_checked=checked_opt,
        checked_ci_low=checked_low,
        checked_ci_high=checked_high,
        n_checked=sum(one.instances for one in checked) if known else 0,
    )


def _estimate(tallies: Sequence[Tally], k: int) -> tuple[float, float, float] | tuple[None, None, None]:
    """Opt@K and its interval; nothing without instances."""
    if not tallies:
        return None, None, None
    values = [_value(one.answered, one.yes, k) for one in tallies]
    return _mean(tallies, values), *mean_interval(values, [one.instances for one in tallies])


def _value(answered: int, yes: int, k: int) -> float:
    return at_least_one(answered, yes, k) if answered else 0.0


def _mean(tallies: Sequence[Tally], values: Sequence[float]) -> float:
    return float(np.average(values, weights=[one.instances for one in tallies]))


def _why(k: int, attempted: Sequence[Tally]) -> str:
    most = max(one.answered for one in attempted)
    count = sum(one.instances for one in attempted)
    if not most:
        return f"none of the attempts at {count} instances could be timed"
    return f"needs {k} attempts at an instance, and none of {count} has more than {most}"


def rank(run_id: str, k: int, instance_ids: Sequence[str], prediction_ids: Sequence[str], store: Store) -> Ranked:
    """Append and return Opt@1..k of every model, by the scores that these predictions have in the run."""
    scores = store.frame(Score, columns=COLUMNS, keys={"run_id": run_id, "prediction_id": list(prediction_ids)})
    rows = opt_at_k(run_id, scores, instance_ids, range(1, k + 1))
    store.append(rows)
    return Ranked(run_id=run_id, rows=rows)
