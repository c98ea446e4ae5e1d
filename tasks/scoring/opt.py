"""Opt@K: how often at least one of K attempts reaches the human."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from configs.models import ScoringConfig
from storage.store import Store
from storage.tables import OptAtK, Score


class Ranked(BaseModel):
    """Opt@K per model."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    rows: list[OptAtK]


def at_least_one(n: int, c: int, k: int) -> float:
    """Probability that k attempts, drawn without replacement from n of which c succeed, hold a success.

    The unbiased estimator 1 - C(n - c, k) / C(n, k) of Chen et al., "Evaluating Large Language Models Trained on Code",
    2021. With fewer than k attempts the missing ones count as failures: n is taken as k.
    """
    n = max(n, k)
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def opt_at_k(
    run_id: str, scores: Sequence[Score], instance_ids: Iterable[str], ks: Iterable[int], samples: int
) -> list[OptAtK]:
    """One row per model and k, best Opt@1 first.

    Every model is measured on all of `instance_ids`: one without attempts at an instance has not solved it, as GSO
    counts. `inconclusive` is a failure in `opt` and `opt_if_inconclusive_no`, a success in `opt_if_inconclusive_yes`.
    The 95 % interval is a percentile bootstrap over instances with `samples` resamples.
    """
    instances = sorted(set(instance_ids))
    answers: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in scores:
        answers[row.model][row.instance_id].append(row.opt_human)
    found = []
    for model, by_instance in sorted(answers.items()):
        attempts = [by_instance.get(name, []) for name in instances]
        for k in sorted(set(ks)):
            found.append(_row(run_id, model, k, attempts, samples))
    first = {row.model: row.opt for row in reversed(found)}
    return sorted(found, key=lambda row: (-first[row.model], row.model, row.k))


def _row(run_id: str, model: str, k: int, attempts: Sequence[Sequence[str]], samples: int) -> OptAtK:
    sure = np.array([at_least_one(len(one), one.count("yes"), k) for one in attempts])
    possible = np.array([at_least_one(len(one), len(one) - one.count("no"), k) for one in attempts])
    if len(sure):
        draws = sure[np.random.default_rng(0).integers(len(sure), size=(samples, len(sure)))].mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        no, yes = float(sure.mean()), float(possible.mean())
    else:
        low = high = no = yes = 0.0
    return OptAtK(
        run_id=run_id,
        model=model,
        k=k,
        opt=no,
        ci_low=float(low),
        ci_high=float(high),
        opt_if_inconclusive_no=no,
        opt_if_inconclusive_yes=yes,
        n_instances=len(attempts),
        n_samples=sum(map(len, attempts)),
    )


def rank(
    run_id: str,
    k: int,
    scoring: ScoringConfig,
    instance_ids: Sequence[str],
    prediction_ids: Sequence[str],
    store: Store,
) -> Ranked:
    """Append and return Opt@1..k of every model, by the scores that these predictions have in the run."""
    scores = store.rows(Score, run_id=run_id, prediction_id=list(prediction_ids))
    rows = opt_at_k(run_id, scores, instance_ids, range(1, k + 1), scoring.bootstrap_samples)
    store.append(rows)
    return Ranked(run_id=run_id, rows=rows)
