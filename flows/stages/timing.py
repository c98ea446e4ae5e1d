"""Timing: base against human of every commit; and, as both recipes want it, all sessions of one instance alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from configs.models import Config, ScoringConfig
from flows.engine.run import Run
from flows.stages.environments import arms_of
from flows.stages.handed_on import commits_of, tested
from flows.stages.of_dataset import dataset_stage
from storage.tables import PerfTest
from tasks.timing.gpu import gpus_for
from tasks.timing.models import Session
from tasks.timing.stage import time_arms


@dataset_stage("timing")
def time_commits(run: Run, config: Config) -> None:
    """Time base against human on every accepted perf test. Raises GpuError if a GPU is wanted and not there."""
    gpus_for(config.timing, config.sandbox)
    repo = config.repository.name
    accepted = tested(run, config)
    arms = arms_of(run, config, commits_of(run, config, list(accepted)))
    owner = {test_id: sha for sha, test_ids in accepted.items() if sha in arms for test_id in test_ids}
    tests = {test.test_id: test for test in run.store.rows(PerfTest, repo)} if owner else {}
    items = {
        test_id: {
            "repo": repo, "instance_id": None, "arms": list(arms[sha].values()), "test_id": test_id,
            "script": tests[test_id].script, "dialect": tests[test_id].dialect, "timing": config.timing,
            "scoring": config.scoring, "sandbox": config.sandbox, "results_compared": tests[test_id].results_compared,
        }
        for test_id, sha in owner.items()
    }  # fmt: skip
    for test_id, session in time_all(run, items, owner, config.scoring, repo).items():
        outcome = session.outcome_of("human")
        word = {"yes": "faster", "no": "too_slow", "inconclusive": "inconclusive"}[outcome.verdict]
        reason = f"{word}: {outcome.describe()}" if outcome.status == "ok" else outcome.describe()
        made = [session.session_id]
        run.note("timing", test_id, "kept" if outcome.verdict == "yes" else "dropped", reason, repo=repo, made=made)


def time_all(
    run: Run, items: Mapping[str, Mapping[str, Any]], owner: Mapping[str, str], scoring: ScoringConfig, repo: str = ""
) -> dict[str, Session]:
    """Time every item: key -> arguments of `time_arms`. `owner` says which instance (or commit) a key belongs to.

    Where the cache holds sessions of an owner that were timed on another machine (or kernel, or image) than its others,
    all of that owner's are timed again, here: scoring would refuse to combine them. Not if mixing is allowed.
    """
    found = run.map("timing", time_arms, items, repo=repo, owner=owner)
    fingerprints = defaultdict(set)
    for key, session in found.items():
        fingerprints[owner[key]].add(session.fingerprint)
    mixed = {key: items[key] for key in found if len(fingerprints[owner[key]]) > 1}
    if not mixed or scoring.allow_mixed_machines:
        return found
    return found | run.map("timing", time_arms, mixed, repo=repo, stale=lambda _: True)
