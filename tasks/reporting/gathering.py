"""What the page shows, read from the store: plain values and pictures, no HTML."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from configs.models import MIN_SPEEDUP
from storage.ids import patch_id
from storage.scripts import perf_tests_of
from storage.store import Store
from storage.tables import (
    Calibration,
    Commit,
    Comparison,
    Instance,
    LlmCall,
    Measurement,
    OptAtK,
    PerfTest,
    Prediction,
)
from tasks.reporting import svg
from tasks.reporting.calibrations import Finding, conclusions, findings
from tasks.reporting.tables import funnel_counts, funnel_reasons, funnel_row, scores_table

MOST_ARMS = 16
"""Strips per perf test: base, human and the first patches; the rest is counted, not drawn."""


@dataclass(frozen=True)
class StageView:
    """One stage of the funnel."""

    row: dict[str, Any]
    bar: str
    reasons: list[tuple[str, str, int]]


@dataclass(frozen=True)
class TestView:
    """One perf test of an instance: the newest session that timed it."""

    name: str
    script: str
    picture: str | None
    text: str
    """What the picture shows, in words; why there is none."""


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
    not_kept: list[Comparison]
    runs: list[RunView]
    timed_at: str
    calibrations: list[CalibrationView] = field(default_factory=list)
    conclusions: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """test_id -> what it measures, for `not_kept`."""


def gather(store: Store) -> View:
    """Read the tables once and draw. Raises StoreError and SchemaError as the store does."""
    commits = store.frame(Commit, columns=("kept",))
    tests = store.frame(PerfTest, columns=("status", "api"))
    instances = sorted(store.rows(Instance), key=lambda row: row.instance_id)
    comparisons = store.rows(Comparison)
    measured = _measurements(store)
    arms = _arm_labels(store)
    runs = _runs(store)
    owned = {test.test_id for row in instances for test in perf_tests_of(row)}
    not_kept = [row for row in comparisons if (row.arm, row.against) == ("human", "base") and row.test_id not in owned]
    spent = store.frame(LlmCall, columns=("cost_usd", "cached")).filter(~pl.col("cached"))["cost_usd"].sum()
    repos = set(commits["repo"].to_list()) | {row.repo for row in instances}
    totals = [
        ("changes considered", f"{len(commits):,}"),
        ("changes kept by mining", f"{int(commits['kept'].sum()):,}"),
        ("perf tests accepted", f"{int((tests['status'] == 'accepted').sum()):,} of {len(tests):,}"),
        ("timed calls", f"{len(measured):,}"),
        ("instances", f"{len(instances):,}"),
        ("predictions scored", f"{sum(len(run.scores) for run in runs):,}"),
    ]
    if spent:
        totals.append(("spent on models", f"${spent:,.2f}"))
    latest = max(measured["started_at"].to_list(), default=None)
    return View(
        repos=sorted(repos),
        totals=totals,
        funnel=_funnel(store),
        instances=_instances(instances, comparisons, measured, arms),
        not_kept=sorted(not_kept, key=lambda row: -(row.ratio or 0)),
        runs=runs,
        timed_at=f"{latest:%Y-%m-%d %H:%M} UTC" if latest is not None else "",
        calibrations=(calibrations := _calibrations(store)),
        conclusions=conclusions([item.row for item in calibrations]),
        names=dict(zip(tests["test_id"].to_list(), tests["api"].to_list(), strict=True)),
    )


def _funnel(store: Store) -> list[StageView]:
    views = []
    for stage, counts in funnel_counts(store).items():
        row = funnel_row(stage, counts)
        parts = [(name, row[name]) for name in ("kept", "dropped", "failed")]
        title = f"{stage}: " + ", ".join(f"{count} {name}" for name, count in parts)
        views.append(StageView(row, svg.bar(parts, title), funnel_reasons(counts)))
    return views


def _calibrations(store: Store) -> list[CalibrationView]:
    views = []
    for found in findings(store.rows(Calibration)):
        wrong, right = (round(found.sessions * share) for share in (found.wrong, found.right))
        parts = [("kept", right), ("dropped", found.sessions - right - wrong), ("failed", wrong)]
        title = f"{right} right, {found.sessions - right - wrong} inconclusive, {wrong} wrong"
        views.append(CalibrationView(found, svg.bar(parts, title)))
    return views


def _measurements(store: Store) -> pl.DataFrame:
    columns = ("process", "wall_ns", "number", "correct", "warmup", "started_at", "machine_id")
    frame = store.frame(Measurement, columns=columns).filter(~pl.col("warmup"))
    return frame.with_columns(seconds=pl.col("wall_ns") / pl.col("number") / 1e9)


def _arm_labels(store: Store) -> dict[str, str]:
    """`patch:<id>` -> `model #sample, ...`."""
    frame = store.frame(Prediction, columns=("model", "sample", "model_patch"))
    labels: dict[str, list[str]] = defaultdict(list)
    for model, sample, patch in frame.select("model", "sample", "model_patch").iter_rows():
        label = f"{model} #{sample}"
        known = labels[f"patch:{patch_id(patch)}"]
        if label not in known:
            known.append(label)
    return {arm: ", ".join(sorted(known)) for arm, known in labels.items()}


def _instances(
    rows: list[Instance], comparisons: list[Comparison], measured: pl.DataFrame, arms: dict[str, str]
) -> list[InstanceView]:
    speeds = [value for row in rows for value in (row.human_ci_low, row.human_performance, row.human_ci_high) if value]
    axis = svg.Axis.around([1.0, MIN_SPEEDUP, *speeds], 8, 232, log=True)
    newest: dict[str, pl.DataFrame] = {}
    sessions: dict[str, int] = {}
    for (test_id, *_), frame in measured.group_by("test_id"):
        last = frame.sort("started_at")["session_id"][-1]
        newest[str(test_id)] = frame.filter(pl.col("session_id") == last)
        sessions[str(test_id)] = frame["session_id"].n_unique()
    verdicts = {
        (row.test_id, row.session_id): row for row in comparisons if (row.arm, row.against) == ("human", "base")
    }
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
            known = test.test_id
            if known not in newest:
                text = "No measurements of this perf test in this store."
                tests.append(TestView(name, test.script, None, text))
                continue
            frame = newest[known]
            picture_text, drawing = _strips(name, frame, arms, sessions[known])
            verdict = verdicts.get((known, frame["session_id"][0]))
            if verdict and verdict.ratio:
                picture_text = (
                    f"Human against base: {speed(verdict.ratio, verdict.ci_low, verdict.ci_high)}. {picture_text}"
                )
            tests.append(TestView(name, test.script, drawing, picture_text))
        views.append(InstanceView(row, (row.gt_commit_message.splitlines() or [""])[0], picture, tests))
    return views


def _strips(name: str, frame: pl.DataFrame, labels: dict[str, str], sessions: int) -> tuple[str, str]:
    rows = []
    groups = {str(arm): part for (arm, *_), part in frame.group_by("arm")}
    ordered = sorted(groups, key=lambda arm: ({"base": 0, "human": 1}.get(arm, 2), labels.get(arm, arm)))
    for arm in ordered[:MOST_ARMS]:
        part = groups[arm]
        wrong = part.filter(pl.col("correct").eq_missing(False))["seconds"].to_list()
        right = part.filter(pl.col("correct").ne_missing(False))["seconds"].to_list()
        median = part["seconds"].median()
        kind = arm if arm in ("base", "human") else "patch"
        rows.append(svg.Strip(labels.get(arm, arm), right, float(median or 0.0), kind, wrong))  # type: ignore[arg-type]
    words = [f"{len(frame)} timed calls in {frame['process'].n_unique()} sets of processes, warm-up left out"]
    if len(ordered) > MOST_ARMS:
        words.append(f"{len(ordered) - MOST_ARMS} more arms are not drawn")
    if sessions > 1:
        words.append(f"the newest of {sessions} sessions")
    if any(row.wrong for row in rows):
        words.append("red ticks: the result was not equivalent to base's")
    medians = ", ".join(f"{row.label} {svg.seconds(row.median)}" for row in rows)
    return "; ".join(words) + ".", svg.strips(rows, f"Seconds per call of {name}; medians: {medians}")


def speed(ratio: float | None, low: float | None, high: float | None) -> str:
    """`1.83x [1.79, 1.87]`; a dash for nothing."""
    if ratio is None:
        return "–"
    bounds = f" [{svg.number(low)}, {svg.number(high)}]" if low is not None and high is not None else ""
    return f"{svg.number(ratio)}×{bounds}"


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
    """What an Opt@K lacks, in words: why it is not known, what it leaves out."""
    counts = (
        (row.n_left_out, f"instances with fewer than {row.k} answers left out"),
        (row.n_unattempted, "instances not attempted, so not solved"),
        (row.n_missing, "attempts missing"),
        (row.n_not_timed, "attempts not timed"),
    )
    return "; ".join([row.reason] * bool(row.reason) + [f"{count} {what}" for count, what in counts if count])
