"""Metrics of rounds -> ratios with intervals: above 1 means better, whichever way the metric points."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import median

import numpy as np

from tasks.timing.models import MetricValue, Question, SessionState
from tasks.timing.stats import Floats, Interval, interval


def of_arm(state: SessionState, metric: str, arm: str) -> dict[int, MetricValue]:
    """Round -> value."""
    return {value.round: value for value in state.metrics if value.metric == metric and value.arm == arm}


def metric_ratios(state: SessionState, metric: str, arm: str, against: str) -> list[Floats]:
    """Log of how many times better `arm` is in every round that has both, one array per set."""
    ours, theirs = of_arm(state, metric, arm), of_arm(state, metric, against)
    sets: dict[int, list[float]] = defaultdict(list)
    for number in sorted(set(ours) & set(theirs)):
        gain = math.log(ours[number].value / theirs[number].value)
        sets[ours[number].process].append(gain if ours[number].better == "higher" else -gain)
    return [np.array(values) for _, values in sorted(sets.items())]


def compare_metric(state: SessionState, metric: str, arm: str, against: str, confidence: float) -> Interval | None:
    """How many times better `arm` is by a metric. None if fewer than two rounds have both."""
    return interval(metric_ratios(state, metric, arm, against), confidence)


def by_the_clock(state: SessionState, question: Question, confidence: float) -> Interval | None:
    """How many times faster an arm is by the driver's clock around the whole command, its start included."""
    walls = {
        name: {one.round: one for one in state.samples if one.arm == name} for name in (question.arm, question.against)
    }
    ours, theirs = walls[question.arm], walls[question.against]
    sets: dict[int, list[float]] = defaultdict(list)
    for number in sorted(set(ours) & set(theirs)):
        sets[ours[number].process].append(math.log(theirs[number].outside_ns / ours[number].outside_ns))
    return interval([np.array(values) for _, values in sorted(sets.items())], confidence)


def directed(state: SessionState) -> list[str]:
    """Metrics that say which way is better, the primary one first."""
    names = dict.fromkeys(value.metric for value in state.metrics if value.better is not None)
    return sorted(names, key=lambda name: name != state.primary)


def typical(state: SessionState, metric: str, arm: str) -> float | None:
    """Median over rounds, in the metric's own unit."""
    values = [value.value for value in of_arm(state, metric, arm).values()]
    return median(values) if values else None
