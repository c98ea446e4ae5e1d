"""Timing as both flows want it: every perf test a session, and all sessions of one instance timed alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from configs.models import ScoringConfig
from flows.engine.run import Run
from tasks.timing.models import Session
from tasks.timing.stage import time_arms


def time_all(
    run: Run, items: Mapping[str, Mapping[str, Any]], owner: Mapping[str, str], scoring: ScoringConfig, repo: str = ""
) -> dict[str, Session]:
    """Time every item: key -> arguments of `time_arms`. `owner` says which instance (or commit) a key belongs to.

    Where the cache holds sessions of an owner that were timed on another machine (or kernel, or image) than its others,
    all of that owner's are timed again, here: scoring would refuse to combine them. Not if mixing is allowed.
    """
    found = run.map("timing", time_arms, items, repo=repo)
    fingerprints = defaultdict(set)
    for key, session in found.items():
        fingerprints[owner[key]].add(session.fingerprint)
    mixed = {key: items[key] for key in found if len(fingerprints[owner[key]]) > 1}
    if not mixed or scoring.allow_mixed_machines:
        return found
    return found | run.map("timing", time_arms, mixed, repo=repo, stale=lambda _: True)
