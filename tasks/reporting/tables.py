"""The tables of a store as plain rows: for the command line, for Prefect artifacts, for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from storage.store import Store
from storage.tables import Funnel, Instance, OptAtK, Score
from tasks.reporting.advice import advice_for, kind_of

STAGES = (
    "mining", "pull_requests", "classify", "apis", "environments", "perftests", "timing", "suites", "instances",
    "scores",
)  # fmt: skip
"""The order of stages; others follow in the order in which they were recorded."""
STAGE_ITEMS = {
    "mining": "changes", "pull_requests": "pull requests", "classify": "changes", "apis": "commits",
    "environments": "environments", "checkouts": "patches", "perftests": "commits", "timing": "perf tests",
    "suites": "suites of tests", "instances": "commits", "statements": "statements", "scores": "predictions",
}  # fmt: skip
"""What each stage counts."""


def funnel_table(source: Store | Iterable[Funnel], run_id: str | None = None, reasons: int = 3) -> list[dict[str, Any]]:
    """One row per stage: `stage, kept, dropped, failed, why` with the most frequent reasons of what fell out.

    `source` is a store or rows at hand; `run_id` keeps one run, else all runs are shown together, each item once.
    """
    return [funnel_row(stage, counts, reasons) for stage, counts in funnel_counts(source, run_id).items()]


def funnel_row(stage: str, counts: Counter[tuple[str, str]], reasons: int = 3) -> dict[str, Any]:
    """One row of `funnel_table`."""
    outcomes: Counter[str] = Counter()
    for (outcome, _), count in counts.items():
        outcomes[outcome] += count
    fallen = funnel_reasons(counts)
    why = [f"{reason} ({count})" for _, reason, count in fallen[:reasons]]
    if len(fallen) > reasons:
        why.append(f"and {len(fallen) - reasons} more")
    return {
        "stage": stage,
        "kept": outcomes["kept"],
        "dropped": outcomes["dropped"],
        "failed": outcomes["failed"],
        "why": "; ".join(why),
    }


def funnel_by_reason(source: Store | Iterable[Funnel], run_id: str | None = None) -> list[dict[str, Any]]:
    """One row per stage, outcome and reason: `stage, outcome, items, reason, to_do`, stages in order, most frequent
    reasons first; what was kept is one row per stage.
    """
    rows: list[dict[str, Any]] = []
    for stage, counts in funnel_counts(source, run_id).items():
        kept = sum(count for (outcome, _), count in counts.items() if outcome == "kept")
        if kept:
            rows.append({"stage": stage, "outcome": "kept", "items": kept, "reason": "", "to_do": ""})
        rows += [
            {"stage": stage, "outcome": outcome, "items": count, "reason": reason, "to_do": advice_for(stage, reason)}
            for outcome, reason, count in funnel_reasons(counts)
        ]
    return rows


def funnel_counts(source: Store | Iterable[Funnel], run_id: str | None = None) -> dict[str, Counter[tuple[str, str]]]:
    """Stage -> how many items have this outcome and this reason; stages in order, arguments as in `funnel_table`.

    A reason's detail (what follows `: `) is left out, so that `max_files: 31` and `max_files: 40` count as one.
    """
    stages: dict[str, Counter[tuple[str, str]]] = {}
    for stage, outcome, reason in _funnel(source, run_id):
        stages.setdefault(stage, Counter())[outcome, kind_of(reason)] += 1
    return {stage: stages[stage] for stage in _in_order(stages)}


def funnel_reasons(counts: Counter[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """`(outcome, reason, count)` of what was dropped or failed in a stage, most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(outcome, reason, count) for (outcome, reason), count in ordered if outcome != "kept"]


def latest_runs(store: Store) -> list[str]:
    """Ids of the runs in the funnel, in the order in which they first wrote."""
    return list(dict.fromkeys(store.frame(Funnel)["run_id"].to_list()))


def opt_table(store: Store, run_id: str | None = None) -> list[dict[str, Any]]:
    """One row per model and k: `model, k, opt, ci_low, ci_high, at_least, at_most, instances, samples`, and more.

    Shares are in percent, None where they are not known; `note` says why. `at_least` and `at_most` count `inconclusive`
    as no and as yes. `left_out` instances have too few attempts for k; `unattempted` ones have none and are not solved;
    `missing` and `not_timed` are attempts. `opt_checked` leaves out the instances that are only weakly checked.
    """
    rows = [row for row in store.rows(OptAtK) if run_id in (None, row.run_id)]
    return [
        {
            **({} if run_id else {"run": row.run_id}),
            "model": row.model,
            "k": row.k,
            "opt": _percent(row.opt),
            "ci_low": _percent(row.ci_low),
            "ci_high": _percent(row.ci_high),
            "at_least": _percent(row.opt_if_inconclusive_no),
            "at_most": _percent(row.opt_if_inconclusive_yes),
            "instances": row.n_instances,
            "samples": row.n_samples,
            "left_out": row.n_left_out,
            "unattempted": row.n_unattempted,
            "missing": row.n_missing,
            "not_timed": row.n_not_timed,
            "opt_checked": _percent(row.opt_checked),
            "checked": row.n_checked,
            "note": row.reason,
        }
        for row in sorted(rows, key=lambda row: (row.run_id, row.model, row.k))
    ]


def instances_table(store: Store, repo: str | None = None) -> list[dict[str, Any]]:
    """One row per instance: `instance_id, speedup, ci_low, ci_high, tests, own_tests, api, subject`."""
    return [
        {
            "instance_id": row.instance_id,
            "speedup": row.human_performance,
            "ci_low": row.human_ci_low,
            "ci_high": row.human_ci_high,
            "tests": len(row.efficiency_test),
            "own_tests": own_tests(row),
            "api": row.api,
            "subject": (row.gt_commit_message.splitlines() or [""])[0],
        }
        for row in sorted(store.rows(Instance, repo), key=lambda row: row.instance_id)
    ]


def own_tests(row: Instance) -> str:
    """How many of the repository's own tests judge patches to an instance."""
    if row.weakly_checked:
        return f"{len(row.pass_to_pass)}, weakly checked"
    seen = f", {row.tests_of_change} of the change" if row.tests_of_change else ""
    return f"{len(row.pass_to_pass)}{seen}"


def scores_table(store: Store, run_id: str | None = None) -> list[dict[str, Any]]:
    """One row per prediction: `instance_id, model, sample, status, speedup_human, ci_low, ci_high, reaches, reason`."""
    rows = [row for row in store.rows(Score) if run_id in (None, row.run_id)]
    return [
        {
            **({} if run_id else {"run": row.run_id}),
            "instance_id": row.instance_id,
            "model": row.model,
            "sample": row.sample,
            "status": row.status,
            "speedup_human": row.speedup_human,
            "ci_low": row.ci_low,
            "ci_high": row.ci_high,
            "reaches": row.opt_human,
            "reason": "; ".join([*([row.reason] if row.reason else []), *(f"flag {flag}" for flag in row.flags)]),
        }
        for row in sorted(rows, key=lambda row: (row.run_id, row.instance_id, row.model, row.sample))
    ]


def _funnel(source: Store | Iterable[Funnel], run_id: str | None) -> Iterable[tuple[str, str, str]]:
    """Stage, outcome and reason of each item. A store may hold one per change of long histories: no models for them."""
    if isinstance(source, Store):
        frame = source.frame(Funnel, keys={} if run_id is None else {"run_id": run_id})
        if run_id is None:
            frame = frame.unique(subset=["repo", "stage", "key"], keep="last", maintain_order=True)
        return frame.select("stage", "outcome", "reason").iter_rows()
    rows = [row for row in source if run_id in (None, row.run_id)]
    return [
        (row.stage, row.outcome, row.reason) for row in {(row.repo, row.stage, row.key): row for row in rows}.values()
    ]


def _in_order(stages: Iterable[str]) -> list[str]:
    return sorted(stages, key=lambda stage: STAGES.index(stage) if stage in STAGES else len(STAGES))


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
