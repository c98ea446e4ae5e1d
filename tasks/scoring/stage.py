"""Doors of scoring."""

from __future__ import annotations

from typing import Any

from configs.models import EnvironmentConfig, RepositoryConfig, ScoringConfig
from storage.store import Store
from tasks.caching import cache_key
from tasks.decorators import stage_task
from tasks.scoring.instances import MadeInstance, build_instance
from tasks.scoring.opt import Ranked, rank
from tasks.scoring.predictions import Scored, build_scores


def _instance_key(_: Any, parameters: dict[str, Any]) -> str:
    names = ("repository", "sha", "environment", "scoring")
    content = [parameters[name] for name in names]
    return cache_key("scoring", "make_instance", *content, parameters["session_ids"], parameters.get("suite", ""))


@stage_task(_instance_key, name="make instance", run_name="instance of {repository.name} {sha:.10}", tags=["scoring"])
def make_instance(
    repository: RepositoryConfig,
    sha: str,
    environment: EnvironmentConfig,
    scoring: ScoringConfig,
    session_ids: list[str],
    store: str,
    suite_id: str | None = None,
    suite: str = "",
) -> MadeInstance:
    """Turn a commit and its timing sessions into a row of `instances`, or say why not.

    Its speedup is the mean over all perf tests that were timed, `max_tests` at most in the order of `session_ids`.
    `suite_id` is the row of `suites` with the repository's own tests, and `suite` what it says, for the cache.
    """
    return build_instance(repository, sha, environment, scoring, session_ids, Store(store, run="scoring"), suite_id)


def _scores_key(_: Any, parameters: dict[str, Any]) -> str:
    return cache_key(
        "scoring",
        "score_predictions",
        parameters["instance_id"],
        sorted(parameters["prediction_ids"]),
        sorted(parameters["session_ids"]),
        parameters["failed_patches"],
        parameters.get("incorrect_patches"),
        parameters.get("weakly_checked"),
        parameters["scoring"],
        parameters["run_id"],  # a column of the rows that are written
    )


@stage_task(_scores_key, name="score predictions", run_name="scores of {instance_id}", tags=["scoring"])
def score_predictions(
    instance_id: str,
    prediction_ids: list[str],
    session_ids: list[str],
    failed_patches: dict[str, str],
    scoring: ScoringConfig,
    run_id: str,
    store: str,
    incorrect_patches: dict[str, str] | None = None,
    weakly_checked: bool = True,
) -> Scored:
    """Append one row of `scores` per prediction of an instance.

    `failed_patches` maps `storage.ids.patch_id` of patches that did not apply or build to the reason. Timed patches are
    the arms `patch:<patch_id>` of the sessions, one session per perf test of the instance.
    `incorrect_patches`, likewise, are those that fail the repository's own tests; `weakly_checked`: whether no such
    test executes a changed function.
    """
    return build_scores(
        instance_id, prediction_ids, session_ids, failed_patches, scoring, run_id, Store(store, run="scoring"),
        incorrect_patches or {}, weakly_checked,
    )  # fmt: skip


def _rank_key(_: Any, parameters: dict[str, Any]) -> str:
    return cache_key(
        "scoring",
        "rank_models",
        parameters["run_id"],
        parameters["k"],
        sorted(parameters["instance_ids"]),
        sorted(parameters["scores"]),
    )


@stage_task(_rank_key, name="rank models", run_name="Opt@{k} of {run_id}", tags=["scoring"])
def rank_models(run_id: str, k: int, instance_ids: list[str], scores: list[tuple[str, ...]], store: str) -> Ranked:
    """Append Opt@1..k of every model to `opt_at_k`, and return the rows.

    `scores` are the (prediction_id, status, opt_human, whether it is weakly checked) of the run that count: they make
    the cache key one of content. Models are measured on all of `instance_ids`; an instance that a model did not attempt
    counts as not solved.
    """
    return rank(run_id, k, instance_ids, [key for key, *_ in scores], Store(store, run="scoring"))
