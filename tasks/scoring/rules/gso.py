"""GSO's rule: does a patch match the human commit?

Source: gso-bench/gso at c89aecd, `src/gso/harness/grading/metrics.py` (`get_opt_status`) and `src/gso/constants.py`;
Shetty et al., "GSO: Challenging Software Optimization Tasks for Evaluating SWE-Agents", 2025. A test that fails, or
that takes too long, ends the evaluation of the patch: it matches nothing. No interval: means of runs decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tasks.scoring.rules.frames import share_by_model

MIN_PROB_SPEEDUP = 1.2
OPT_THRESH = 0.95

Times = Sequence[Sequence[float]]
"""Seconds of every run, per test."""


def matches_human(base: Times, patch: Times, human: Times) -> bool:
    """`opt_commit`: faster than base (`beats_base`), and more than 0.95 of the human's speed, strictly.

    The speed beside the human's is the harmonic mean over tests of the ratio of mean times. Raises ValueError if not
    all three have the same number of tests, at least one.
    """
    base_means, patch_means, human_means = _means(base, patch, human)
    if not _beats_base(base_means, patch_means):
        return False
    speedups = _speedups(human_means, patch_means)
    positive = speedups[speedups > 0]
    with np.errstate(divide="ignore"):
        return bool(len(speedups) / np.sum(1 / positive) > OPT_THRESH) if len(positive) else True


def beats_base(base: Times, patch: Times) -> bool:
    """`opt_base`: a smaller mean time over all tests, and a geometric mean speedup that rounds to 1.2 or more.

    It is rounded to one digit as numpy rounds, so 1.15 is enough. Raises ValueError as `matches_human` does.
    """
    return _beats_base(*_means(base, patch))


def score(frame: pl.DataFrame) -> pl.DataFrame:
    """Per model the share of instances that its patches match, `opt`, and that beat base, `opt_base`.

    `frame` as in `frames.TIMES`. Several attempts at an instance weigh together as one.
    """
    rows = frame.select("correct", "base", "patch", "human").iter_rows()
    judged = [
        (beats_base(base, patch), matches_human(base, patch, human)) if correct else (False, False)
        for correct, base, patch, human in rows
    ]
    answers = {name: pl.Series([row[index] for row in judged], dtype=pl.Boolean) for index, name in enumerate(_NAMES)}
    return share_by_model(frame.select("model", "instance_id").with_columns(**answers), _NAMES, by="opt")


_NAMES = ("opt_base", "opt")


def _beats_base(base: np.ndarray, patch: np.ndarray) -> bool:
    with np.errstate(divide="ignore"):
        mean = np.exp(np.mean(np.log(_speedups(base, patch))))
    return bool(base.mean() > patch.mean() and np.round(mean, 1) >= MIN_PROB_SPEEDUP)


def _means(*arms: Times) -> list[np.ndarray]:
    means = [np.array([np.mean(runs) for runs in arm if len(runs)]) for arm in arms]
    if len({len(found) for found in means}) > 1 or not len(means[0]):
        raise ValueError(f"all arms need times of the same tests, not of {[len(found) for found in means]}")
    return means


def _speedups(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.array([b / a if a > 0 else np.inf for b, a in zip(before, after, strict=True)])
