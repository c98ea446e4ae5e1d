"""Plain rows for terminal and artifacts."""

from __future__ import annotations

import pytest

from storage.store import Store
from storage.tables import Funnel
from tasks.reporting.digests import digest
from tasks.reporting.tables import funnel_table, instances_table, latest_runs, opt_table, scores_table


def row(stage: str, key: str, outcome: str, reason: str = "", run_id: str = "r1") -> Funnel:
    return Funnel.model_validate(
        {"run_id": run_id, "stage": stage, "key": key, "repo": "a/b", "outcome": outcome, "reason": reason}
    )


def test_funnel_counts_by_stage_in_the_order_of_the_pipeline():
    rows = [
        row("timing", "a", "kept"),
        row("mining", "a", "kept"),
        row("mining", "b", "dropped", "max_files: 31"),
        row("mining", "c", "dropped", "max_files: 40"),
        row("mining", "d", "dropped", "no keyword"),
        row("mining", "e", "failed", "OSError: disk\nTraceback"),
        row("mining", "f", "dropped", "merge"),
        row("own", "a", "dropped", ""),
    ]
    table = funnel_table(rows)
    assert [line["stage"] for line in table] == ["mining", "timing", "own"]
    assert table[0] == {
        "stage": "mining", "kept": 1, "dropped": 4, "failed": 1,
        "why": "max_files (2); merge (1); no keyword (1); and 1 more",
    }  # fmt: skip
    assert table[2]["why"] == "no reason given (1)"
    assert funnel_table([]) == []


def test_funnel_of_a_run_and_of_all_runs(tmp_path):
    store = Store(tmp_path)
    store.append([row("mining", "a", "dropped", "x"), row("mining", "b", "kept")])
    store.append([row("mining", "a", "kept", run_id="r2")])
    assert latest_runs(store) == ["r1", "r2"]
    assert [(t["kept"], t["dropped"]) for t in funnel_table(store, "r1")] == [(1, 1)]
    assert [(t["kept"], t["dropped"]) for t in funnel_table(store, "r2")] == [(1, 0)]
    assert [(t["kept"], t["dropped"]) for t in funnel_table(store)] == [(2, 0)]
    assert funnel_table(store, "none") == []


def test_instances_opt_and_scores(filled):
    assert [line["speedup"] for line in instances_table(filled)] == [3.4, 1.31, 17.5]
    assert instances_table(filled, "other/repo") == []
    opt = opt_table(filled, "demo")
    assert opt[0] == {
        "model": "model-a", "k": 1, "opt": 55.0, "ci_low": 25.0, "ci_high": 80.0, "at_least": 55.0, "at_most": 88.0,
        "instances": 3, "samples": 3, "left_out": 0, "unattempted": 0, "missing": 0, "not_timed": 0,
        "opt_checked": None, "checked": 0, "note": "",
    }  # fmt: skip
    assert len(opt) == 9
    assert opt_table(filled)[0]["run"] == "demo"
    scores = scores_table(filled, "demo")
    assert len(scores) == 27
    broken = [line for line in scores if line["status"] == "incorrect"]
    assert len(broken) == 3
    assert all(line["speedup_human"] is None and "flag clock" in line["reason"] for line in broken)
    assert scores_table(filled, "other") == []


def test_the_digest_is_of_rows_and_not_of_parts(filled, tmp_path):
    before = digest(filled)
    copy = Store(tmp_path / "copy", run="other")
    for kind in reversed(list(_kinds())):
        rows = filled.rows(kind)
        for start in range(0, len(rows), 50):
            copy.append(rows[start : start + 50])
    assert digest(copy) == before
    copy.append(copy.rows(Funnel)[:3])
    assert digest(copy) == before
    copy.append([row("mining", "new", "kept")])
    assert digest(copy) != before


@pytest.mark.parametrize("number", range(9))
def test_the_digest_sees_every_table(filled, number):
    kind = list(_kinds())[number]
    before = digest(filled)
    first = filled.rows(kind)[0]
    column = next(
        name
        for name in ("kept", "api", "wall_ns", "ratio", "notes", "sample", "reason", "opt")
        if name in kind.model_fields
    )
    value = getattr(first, column)
    changed = not value if isinstance(value, bool) else (value + "x" if isinstance(value, str) else value + 1)
    filled.append([first.model_copy(update={column: changed})])
    assert digest(filled) != before


def _kinds():
    from tasks.reporting.digests import SHOWN

    return [kind for kind, _ in SHOWN]
