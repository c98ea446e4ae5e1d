"""What the page shows, read from the store: plain values and pictures, no HTML."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from configs.models import MIN_SPEEDUP
from storage.ids import patch_arm, patch_id
from storage.scripts import perf_tests_of
from storage.store import Store
from storage.tables import Calibration, Commit, Instance, LlmCall, OptAtK, PerfTest, Prediction, Score
from tasks.reporting import svg
from tasks.reporting.apart import TestApart, tests_apart
from tasks.reporting.calibrations import Finding, conclusions, findings
from tasks.reporting.tables import STAGE_ITEMS, funnel_counts, funnel_reasons, funnel_row, scores_table
from tasks.reporting.timings import TestView, Timings


@dataclass(frozen=True)
class StageView:
    """One stage of the funnel."""

    row: dict[str, Any]
    items: str
    """What it counts."""
    bar: str
    reasons: list[tuple[str, str, int]]


@dataclass(frozen=True)
class InstanceView:
    """One instance."""

    row: Instance
    subject: str
    interval: str | None
    tests: list[TestView]


@dataclass(frozen=True)
class RunView:
    """Opt@K of one evaluation."""

    run_id: str
    curves: str
    legend: list[tuple[str, str]]
    rows: list[OptAtK]
    weak: bool
    """Whether some instances have no tests of their repository."""
    scores: list[dict[str, Any]]


@dataclass(frozen=True)
class CalibrationView:
    """What a machine tells apart."""

    row: Finding
    bar: str


@dataclass(frozen=True)
class View:
    """Everything on the page."""

    repos: list[str]
    totals: list[tuple[str, str]]
    funnel: list[StageView]
    instances: list[InstanceView]
    apart: list[TestApart]
    runs: list[RunView]
    timed_at: str
    calibrations: list[CalibrationView] = field(default_factory=list)
    conclusions: list[str] = field(default_factory=list)


def gather(store: Store) -> View:
    """Read the tables once and draw. Raises StoreError and SchemaError as the store does."""
    commits = store.frame(Commit, columns=("kept",))
    tests = store.frame(PerfTest, columns=("status", "api", "sha"))
    instances = sorted(store.rows(Instance), key=lambda row: row.instance_id)
    timings = Timings(store, _arm_labels(store))
    stages = funnel_counts(store)
    latest = max(timings.frame["started_at"].to_list(), default=None)
    calibrations = _calibrations(store)
    return View(
        repos=sorted(set(commits["repo"].to_list()) | {row.repo for row in instances}),
        totals=_totals(store, commits, tests, len(instances), timings, stages),
        funnel=[_stage(stage, counts) for stage, counts in stages.items()],
        instances=_instances(instances, timings),
        apart=tests_apart(timings.comparisons, instances, tests, store),
        runs=_runs(store),
        timed_at=f"{latest:%Y-%m-%d %H:%M} UTC" if latest is not None else "",
        calibrations=calibrations,
        conclusions=conclusions([item.row for item in calibrations]),
    )


def _totals(
    store: Store,
    commits: pl.DataFrame,
    tests: pl.DataFrame,
    instances: int,
    timings: Timings,
    stages: dict[str, Counter[tuple[str, str]]],
) -> list[tuple[str, str]]:
    """The tiles. What a stage of the funnel counts as well is taken from there."""
    mined = stages.get("mining")
    kept = funnel_row("mining", mined)["kept"] if mined else int(commits["kept"].sum())
    spent = store.frame(LlmCall, columns=("cost_usd", "cached")).filter(~pl.col("cached"))["cost_usd"].sum()
    scored = store.frame(Score, columns=())["prediction_id"].n_unique()
    found = [
        ("changes considered", f"{len(commits):,}"),
        ("changes kept by mining", f"{kept:,}"),
        ("perf tests through the gates", f"{int((tests['status'] == 'accepted').sum()):,} of {len(tests):,}"),
        ("timed calls", f"{timings.frame['number'].sum():,}"),
        ("instances", f"{instances:,}"),
        ("predictions scored", f"{scored:,}"),
    ]
    return [*found, ("spent on models", f"${spent:,.2f}")] if spent else found


def _stage(stage: str, counts: Counter[tuple[str, str]]) -> StageView:
    row = funnel_row(stage, counts)
    parts = [(name, row[name]) for name in ("kept", "dropped", "failed")]
    title = f"{stage}: " + ", ".join(f"{count} {name}" for name, count in parts)
    return StageView(row, STAGE_ITEMS.get(stage, "items"), svg.bar(parts, title), funnel_reasons(counts))


def _calibrations(store: Store) -> list[CalibrationView]:
    views = []
    for found in findings(store.rows(Calibration)):
        wrong, right = (round(found.sessions * share) for share in (found.wrong, found.right))
        parts = [("kept", right), ("dropped", found.sessions - right - wrong), ("failed", wrong)]
        title = f"{right} right, {found.sessions - right - wrong} inconclusive, {wrong} wrong"
        views.append(CalibrationView(found, svg.bar(parts, title)))
    return views


def _arm_labels(store: Store) -> dict[str, str]:
    """`patch:<id>` -> `model #sample, ...`."""
    frame = store.frame(Prediction, columns=("agent", "model", "sample", "model_patch"))
    labels: dict[str, list[str]] = defaultdict(list)
    for agent, model, sample, patch in frame.select("agent", "model", "sample", "model_patch").iter_rows():
        label = f"{agent}/{model} #{sample}" if agent else f"{model} #{sample}"
        known = labels[patch_arm(patch_id(patch))]
        if label not in known:
            known.append(label)
    return {arm: ", ".join(sorted(known)) for arm, known in labels.items()}


def _instances(rows: list[Instance], timings: Timings) -> list[InstanceView]:
    speeds = [value for row in rows for value in (row.human_ci_low, row.human_performance, row.human_ci_high) if value]
    axis = svg.Axis.around([1.0, MIN_SPEEDUP, *speeds], 8, 232, log=True)
    views = []
    for row in rows:
        picture = None
        if row.human_performance:
            title = f"{svg.number(row.human_performance)} times as fast as base"
            picture = svg.interval(
                axis, row.human_ci_low, row.human_performance, row.human_ci_high, [1.0, MIN_SPEEDUP], title
            )
        tests = []
        for index, test in enumerate(perf_tests_of(row)):
            name = row.test_functions[index] if index < len(row.test_functions) else row.api or f"test {index + 1}"
            tests.append(timings.view(name, test))
        views.append(InstanceView(row, (row.gt_commit_message.splitlines() or [""])[0], picture, tests))
    return views


def _runs(store: Store) -> list[RunView]:
    rows = store.rows(OptAtK)
    scores = scores_table(store)
    views = []
    for run_id in sorted({row.run_id for row in rows} | {row["run"] for row in scores}):
        mine = sorted((row for row in rows if row.run_id == run_id), key=lambda row: (row.model, row.k))
        models = sorted({row.model for row in mine})
        lines = [
            svg.Curve(
                model,
                [
                    (row.k, row.opt, row.ci_low, row.ci_high)
                    for row in mine
                    if row.model == model and row.opt is not None and row.ci_low is not None and row.ci_high is not None
                ],
            )
            for model in models
        ]
        ends = ", ".join(_end(line) for line in lines)
        views.append(
            RunView(
                run_id,
                svg.curves(lines, f"Opt@K with intervals: {ends}") if lines else "",
                [(model, svg.legend_marker(index)) for index, model in enumerate(models)],
                mine,
                any(row.n_checked < row.n_instances for row in mine),
                [row for row in scores if row["run"] == run_id],
            )
        )
    return views


def _end(line: svg.Curve) -> str:
    if not line.points:
        return f"{line.label} not known"
    k, opt, *_ = max(line.points)
    return f"{line.label} {100 * opt:.0f}% at K={k}"


def short_of(row: OptAtK) -> str:
    """The gaps of an Opt@K, in words: why it is not known, which attempts it leaves out."""
    counts = (
        (row.n_left_out, f"instances with fewer than {row.k} answers left out"),
        (row.n_unattempted, "instances not attempted, so not solved"),
        (row.n_missing, "attempts missing"),
        (row.n_not_timed, "attempts not timed"),
    )
    return "; ".join([row.reason] * bool(row.reason) + [f"{count} {what}" for count, what in counts if count])
