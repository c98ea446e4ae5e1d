"""How the arms of a perf test were timed: what each call took, what the comparison with base says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from storage.scripts import PerfTestText
from storage.store import Store
from storage.tables import Comparison, Measurement
from tasks.reporting import svg
from tasks.reporting.digests import READ_OF_MEASUREMENTS

MOST_ARMS = 16
"""Strips per perf test: base, human and the first patches; the rest is counted, not drawn."""
DASH = "–"


@dataclass(frozen=True)
class StripView:
    """One arm: all numbers as text."""

    label: str
    picture: str
    call: str
    """Median seconds per call."""
    charge: str
    """Seconds per call that it is charged for work beside its calls."""
    speedup: str
    """Over base, with its interval."""
    verdict: str
    """Of the comparison with base, or the status that took its place; empty for base."""


@dataclass(frozen=True)
class TestView:
    """One perf test of an instance: the newest session that timed it."""

    name: str
    script: str
    rows: list[StripView]
    axis: str | None
    charged: bool
    """Whether some arm is charged."""
    asked: str
    """The threshold that verdicts answer."""
    text: str
    """What was measured, in words; why there is nothing."""


class Timings:
    """Measurements and comparisons of a store, by perf test and session."""

    def __init__(self, store: Store, labels: dict[str, str]) -> None:
        """`labels`: arm -> what a reader calls it."""
        self.frame = measurements(store)
        self.comparisons = store.rows(Comparison)
        self._labels = labels
        self._of_base = {(row.session_id, row.arm): row for row in self.comparisons if row.against == "base"}
        self._newest: dict[str, pl.DataFrame] = {}
        self._sessions: dict[str, int] = {}
        for (test_id, *_), frame in self.frame.group_by("test_id"):
            last = frame.sort("started_at")["session_id"][-1]
            self._newest[str(test_id)] = frame.filter(pl.col("session_id") == last)
            self._sessions[str(test_id)] = frame["session_id"].n_unique()

    def view(self, name: str, test: PerfTestText) -> TestView:
        """The newest session of a perf test."""
        if test.test_id not in self._newest:
            text = "No measurements of this perf test in this store."
            return TestView(name, test.script, [], None, False, "", text)
        frame = self._newest[test.test_id]
        session = frame["session_id"][0]
        groups = {str(arm): part for (arm, *_), part in frame.group_by("arm")}
        order = {"base": 0, "human": 1}
        arms = sorted(groups, key=lambda arm: (order.get(arm, 2), self._labels.get(arm, arm)))
        strips = {arm: _strip(arm, groups[arm]) for arm in arms[:MOST_ARMS]}
        drawn = (value for strip in strips.values() for value in (*strip.values, *strip.wrong))
        axis = svg.Axis.around(drawn, 4, svg.STRIP_WIDTH - 4)
        rows = [self._row(arm, self._of_base.get((session, arm)), strip, axis) for arm, strip in strips.items()]
        asked = {row.question for arm in arms if (row := self._of_base.get((session, arm))) and row.question}
        return TestView(
            name,
            test.script,
            rows,
            svg.time_axis(axis),
            any(row.charge != DASH for row in rows),
            f"at least {max(asked):g}×?" if asked else "verdict",
            self._words(test.test_id, frame, len(arms), any(strip.wrong for strip in strips.values())),
        )

    def _row(self, arm: str, compared: Comparison | None, strip: svg.Strip, axis: svg.Axis) -> StripView:
        charge = compared.charge_s if compared else None
        verdict = "" if compared is None else compared.verdict if compared.status == "ok" else compared.status
        return StripView(
            label=self._labels.get(arm, arm),
            picture=svg.strip(axis, strip),
            call=DASH if strip.median is None else svg.seconds(strip.median),
            charge=svg.seconds(charge) if charge else DASH,
            speedup=speed(compared.ratio, compared.ci_low, compared.ci_high) if compared else DASH,
            verdict=verdict,
        )

    def _words(self, test_id: str, frame: pl.DataFrame, arms: int, wrong: bool) -> str:
        sets = frame["process"].n_unique()
        words = [f"{frame['number'].sum():,} calls in {len(frame):,} batches and {sets} sets of processes"]
        if arms > MOST_ARMS:
            words.append(f"{arms - MOST_ARMS} more arms are not drawn")
        if self._sessions[test_id] > 1:
            words.append(f"the newest of {self._sessions[test_id]} sessions")
        if wrong:
            words.append("red ticks: the result was not equivalent to base's")
        if frame["call_ns"].is_null().all():
            words.append("measured by an older version: wall time less waits for the core")
        return "; ".join(words) + "."


def measurements(store: Store) -> pl.DataFrame:
    """Batches that comparisons look at, with `seconds` per call as they count them: no warm-up, no confirming rounds.

    A batch that no comparison counts (its result was wrong), and older rows, have their wall time without waits.
    """
    frame = store.frame(Measurement, columns=READ_OF_MEASUREMENTS).filter(~pl.col("warmup") & ~pl.col("confirming"))
    wall = (pl.col("wall_ns") - pl.col("wait_ns")) / pl.col("number")
    return frame.with_columns(seconds=pl.col("call_ns").fill_null(wall) / 1e9)


def speed(ratio: float | None, low: float | None, high: float | None) -> str:
    """`1.83× [1.79, 1.87]`; a dash for nothing."""
    if ratio is None:
        return DASH
    bounds = f" [{svg.number(low)}, {svg.number(high)}]" if low is not None and high is not None else ""
    return f"{svg.number(ratio)}×{bounds}"


def _strip(arm: str, part: pl.DataFrame) -> svg.Strip:
    wrong = pl.col("correct").eq_missing(False)
    right: list[Any] = part.filter(~wrong)["seconds"].to_list()
    median = part.filter(~wrong)["seconds"].median()
    kind = arm if arm in ("base", "human") else "patch"
    return svg.Strip(right, None if median is None else float(median), kind, part.filter(wrong)["seconds"].to_list())  # type: ignore[arg-type]
