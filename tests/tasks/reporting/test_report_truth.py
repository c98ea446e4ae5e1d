"""What the page says is what the tables say: its numbers, read back from its HTML, against the store."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from statistics import median

import pytest

from storage.ids import patch_id, perf_test_id
from storage.store import Store
from storage.tables import (
    Commit,
    Comparison,
    Funnel,
    Instance,
    Measurement,
    OptAtK,
    PerfTest,
    Prediction,
    Row,
    Score,
)
from tasks.reporting import svg
from tasks.reporting.report import render
from tasks.reporting.timings import speed
from tasks.scoring.opt import opt_at_k

REPO, HEAD, OTHER = "acme/logkit", "a" * 40, "b" * 40
START = datetime(2025, 6, 1, 12, tzinfo=UTC)
SCRIPT = "# the perf test"
TEST, SPARE, LONE = (perf_test_id(REPO, sha, text, "isobench") for sha, text in
                     ((HEAD, SCRIPT), (HEAD, "# spare"), (OTHER, "# lone")))  # fmt: skip
FAST, MOVED, WRONG = (f"patch:{patch_id(text)}" for text in ("fast", "moved", "wrong"))
CALL_MS = {"base": 8.6, "human": 4.3, FAST: 6.0, MOVED: 2.0, WRONG: 1.0}
RATIO = {"human": 2.0, FAST: 1.44, MOVED: 0.9}


class Tables(HTMLParser):
    """Rows of every table by its caption, cells as text; tiles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tiles: dict[str, str] = {}
        self._rows: list[list[str]] = []
        self._open: list[str] = []
        self._caption = self._tile = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._open.append(tag)
        if tag == "table":
            self._rows = []
        elif tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = [row for row in self._rows if any(row)][1:]

    def handle_data(self, data):
        if "svg" in self._open:
            return
        if "caption" in self._open:
            self._caption += data
        elif "td" in self._open or "th" in self._open:
            self._rows[-1][-1] += " ".join(data.split())
        elif self._open[-1:] == ["dt"]:
            self._tile = data
        elif self._open[-1:] == ["dd"]:
            self.tiles[self._tile] = data

    def of(self, caption: str) -> list[list[str]]:
        """The table whose caption begins so."""
        (found,) = [rows for name, rows in self.tables.items() if name.startswith(caption)]
        return found


def batch(arm: str, turn: int) -> Measurement:
    """Two calls each. On the wall a call takes what the others need of the core, too: the patch looks slow there."""
    call_ns = CALL_MS[arm] * 1e6 * (1 + turn / 1000)
    waits = {"base": 4e6, FAST: 20e6}.get(arm, 3e6)
    counted = turn > 0 and arm != WRONG
    return Measurement(
        session_id="new", test_id=TEST, arm=arm, process=turn % 2, round=turn, repo=REPO, number=2, order=0, seed=turn,
        wall_ns=int(2 * call_ns + waits), wait_ns=int(waits), cpu_ns=int(2 * call_ns), outside_ns=1,
        call_ns=call_ns if counted else None, charge_ns=7.5e6 if arm == MOVED else 0.0, confirming=turn > 9,
        correct=arm != WRONG, warmup=turn == 0, machine_id="m", started_at=START + timedelta(seconds=turn),
    )  # fmt: skip


def comparison(session: str, test: str, arm: str, ratio: float | None, **more) -> Comparison:
    bounds = {"ci_low": ratio and ratio * 0.95, "ci_high": ratio and ratio * 1.05}
    verdict = "yes" if (ratio or 0) > 1.2 else "no"
    values = {"status": "ok", "n_rounds": 9, "question": 1.2, "verdict": verdict, "machine_id": "m", **bounds}
    return Comparison.model_validate(
        {"session_id": session, "test_id": test, "arm": arm, "against": "base", "repo": REPO, "ratio": ratio,
         **values, **more}
    )  # fmt: skip


def funnel(stage: str, key: str, outcome: str, reason: str = "") -> Funnel:
    return Funnel.model_validate(
        {"run_id": "r", "stage": stage, "key": key, "repo": REPO, "outcome": outcome, "reason": reason}
    )


def score(name: str, answer: str, sample: int, **more) -> Score:
    values = {"status": "ok", "correct": True, "speedup_human": 1.02, "ci_low": 0.98, "ci_high": 1.06}
    return Score.model_validate(
        {"prediction_id": name, "run_id": "r", "instance_id": "i", "repo": REPO, "model": "m", "sample": sample,
         "speedup_base": None, "opt_base": "no", "opt_human": answer, "weakly_checked": False, **values, **more}
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    scores = [
        score("fast", "yes", 0),
        score("moved", "no", 1),
        score("wrong", "no", 2, status="incorrect", correct=False, speedup_human=None, ci_low=None, ci_high=None),
    ]
    rows: list[Row] = [
        *(
            Commit(
                repo=REPO, sha=sha, parent_sha="p" * 40, author_date=START, subject="s", message="", kept=kept,
                reason="",
            )
            for sha, kept in ((HEAD, True), (OTHER, True), ("c" * 40, False))
        ),
        *(
            PerfTest(test_id=test, repo=REPO, sha=sha, api=api, script=api, source="seeded", status="accepted")
            for test, sha, api in ((TEST, HEAD, "split"), (SPARE, HEAD, "spare"), (LONE, OTHER, "lone"))
        ),
        Instance(
            instance_id="i", repo=REPO, repo_url="", created_at=START, base_commit="p" * 40, head_commit=HEAD,
            patch="p", api="split", efficiency_test=[SCRIPT], test_ids=[TEST], test_functions=["split"],
            human_performance=2.2, human_ci_low=2.1, human_ci_high=2.3,
        ),
        *(batch(arm, turn) for arm in CALL_MS for turn in range(12)),
        comparison("old", TEST, "human", 2.2),
        comparison("new", TEST, "human", 2.0),
        comparison("new", TEST, FAST, 1.44),
        comparison("new", TEST, MOVED, 0.9, charge_s=0.0075, calls_ratio=4.3),
        comparison("new", TEST, WRONG, None, status="incorrect", reason="sums differ"),
        comparison("old", SPARE, "human", 1.6),
        comparison("old", LONE, "human", 1.7),
        *(
            Prediction(prediction_id=text, instance_id="i", model="m", sample=sample, model_patch=text)
            for sample, text in enumerate(("fast", "moved", "wrong"))
        ),
        *scores,
        *opt_at_k("r", scores, ["i"], [1, 3, 5]),
        *(funnel("mining", sha, "kept" if sha == HEAD else "dropped", "x") for sha in (HEAD, OTHER, "c" * 40)),
        funnel("instances", HEAD, "kept"),
        funnel("instances", OTHER, "dropped", "incorrect: sums differ"),
        funnel("scores", "fast", "kept", "reaches the human"),
        funnel("scores", "moved", "dropped", "does not reach the human"),
        funnel("scores", "wrong", "dropped", "incorrect"),
    ]  # fmt: skip
    found = Store(tmp_path_factory.mktemp("truth"))
    found.append(rows)
    return found


@pytest.fixture(scope="module")
def page(store: Store) -> Tables:
    return Tables(render(store))


def test_strips_say_what_the_comparisons_count(store: Store, page: Tables) -> None:
    rows = {row[0]: row[2:] for row in page.of("Seconds per call of split") if row[0]}
    labels = {"base": "base", "human": "human", FAST: "m #0", MOVED: "m #1", WRONG: "m #2"}
    assert list(rows) == list(labels.values())
    counted = [row for row in store.rows(Measurement) if row.call_ns is not None and not row.confirming]
    compared = {row.arm: row for row in store.rows(Comparison, session_id="new")}
    for arm, label in labels.items():
        calls = [row.call_ns / 1e9 for row in counted if row.arm == arm and row.call_ns]
        call, charge, speedup, verdict = rows[label]
        assert call == (svg.seconds(median(calls)) if calls else "–"), arm
        row = compared.get(arm)
        assert speedup == (speed(row.ratio, row.ci_low, row.ci_high) if row else "–"), arm
        assert charge == (svg.seconds(0.0075) if arm == MOVED else "–"), arm
        assert verdict == ("" if row is None else row.verdict if row.status == "ok" else row.status), arm
    assert rows["base"][0] == "8.64 ms"  # 10.6 on the wall
    assert rows["m #0"][0] == "6.03 ms"  # 16 on the wall, and 1.44 times as fast


def test_a_faster_arm_is_drawn_to_the_left_of_a_slower_one(store: Store) -> None:
    drawn = re.findall(r'<line class="median (\w+)" x1="([\d.]+)"', render(store))
    assert sorted(drawn, key=lambda item: float(item[1]))[-1][0] == "base"
    assert [kind for kind, _ in drawn] == ["base", "human", "patch", "patch"]  # nothing of the wrong one counts


def test_tiles_and_funnel_are_of_one_mind(store: Store, page: Tables) -> None:
    funnel = {row[0]: row for row in page.of("What each stage did")}
    assert page.tiles["changes considered"] == str(sum(map(int, funnel["mining"][3:6]))) == str(len(store.rows(Commit)))
    assert page.tiles["changes kept by mining"] == funnel["mining"][3]
    assert page.tiles["predictions scored"] == str(sum(map(int, funnel["scores"][3:6]))) == str(len(store.rows(Score)))
    assert page.tiles["instances"] == funnel["instances"][3] == str(len(store.rows(Instance)))
    assert (funnel["mining"][1], funnel["scores"][1]) == ("changes", "predictions")
    assert page.tiles["timed calls"] == str(
        2 * sum(not (row.warmup or row.confirming) for row in store.rows(Measurement))
    )
    assert "ok (" not in funnel["scores"][6]


def test_what_was_fast_enough_and_is_in_no_instance_says_why(page: Tables) -> None:
    rows = {row[1]: row for row in page.of("Perf tests that passed the gates")}
    assert set(rows) == {"spare", "lone"}
    assert rows["lone"][2] == speed(1.7, 1.7 * 0.95, 1.7 * 1.05)
    assert rows["lone"][5] == "fast enough; its commit is no instance: incorrect: sums differ"
    assert rows["spare"][5] == "fast enough; the instance of its commit holds other perf tests"


def test_shares_and_scores_are_those_of_the_tables(store: Store, page: Tables) -> None:
    for row, cells in zip(store.rows(OptAtK), page.of("Opt@K of run r"), strict=True):
        figures = [row.opt, row.ci_low, row.ci_high, row.opt_if_inconclusive_no, row.opt_if_inconclusive_yes]
        opt, low, high, least, most = ["–" if value is None else f"{100 * value:.1f}" for value in figures]
        assert cells[1:7] == [str(row.k), opt, f"{low} – {high}", least, most, str(row.n_instances)]
        assert cells[7] == str(row.n_samples)
        assert row.reason in cells[8]
    assert page.of("Opt@K of run r")[2][2] == "–"  # of five attempts there are three
    for row, cells in zip(store.rows(Score), page.of("Every prediction of run r"), strict=True):
        assert cells[:3] == [row.model, row.instance_id, str(row.sample)]
        assert cells[4] == speed(row.speedup_human, row.ci_low, row.ci_high)
        assert cells[5] == row.opt_human
    (row,) = page.of("Speedup of the human commit")
    assert row[1] == "2.20× [2.10, 2.30]"


def test_every_value_of_a_card_has_its_name(store: Store) -> None:
    """On a narrow screen the head of a table is not shown."""
    cells = re.findall(r"<tbody>.*?</tbody>", render(store), flags=re.DOTALL)
    bare = [cell for body in cells for cell in re.findall(r"<td(?![^>]*data-label)[^>]*>", body)]
    assert cells
    assert bare == []
