"""The demo, as a newcomer runs it, against the truth that `configs/demo/expected.yaml` writes down."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from configs.demo.truth import FOLDER, ExpectedPrediction, load_expected
from storage.exchange.export import complete_instances
from storage.exchange.read import read_instances
from storage.store import Store
from storage.tables import Funnel, Instance, OptAtK, Prediction, Score
from tests.flows.conftest import Isobench

pytestmark = [pytest.mark.slow, pytest.mark.exclusive, pytest.mark.timeout(900)]

TABLES = ("commits", "apis", "perf_tests", "measurements", "instances", "predictions", "scores", "opt_at_k", "funnel",
    "suites", "suite_checks",
)  # fmt: skip


@pytest.fixture(scope="module")
def demo(lone_isobench: Isobench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that one run of the demo leaves behind."""
    store = tmp_path_factory.mktemp("demo") / "store"
    done = lone_isobench("demo", "--store", store, timeout_s=800)
    assert done.returncode == 0, done.stdout + done.stderr
    return store


def check_against_truth(folder: Path) -> None:
    """Every change, instance, prediction and share of Opt@K is what expected.yaml says."""
    store, truth = Store(folder), load_expected()
    funnel = {(row.stage, row.key): row for row in store.rows(Funnel, run_id="demo-dataset")}
    for change in truth.changes:
        if change.stage:
            row = funnel[change.stage, change.sha]
            assert (row.outcome, row.reason.split(":")[0]) == ("dropped", change.reason), change.subject
        else:
            assert funnel["instances", change.sha].outcome == "kept", change.subject
    assert {row.instance_id for row in store.rows(Instance)} == {row.instance_id for row in truth.instances}
    # each repository has tests of its own that execute the change
    assert all(row.tests_of_change > 1 and not row.weakly_checked for row in store.rows(Instance))
    assert len(store.rows(Prediction)) == len(list(truth.predictions()))
    check_scores(store, "demo", list(truth.predictions()))
    shares = {(row.model, row.k): row.opt for row in store.rows(OptAtK, run_id="demo")}
    for model, values in truth.opt_at_k.items():
        assert [shares[model, k] for k in (1, 2, 3)] == pytest.approx(values, abs=1e-4), model


def check_scores(store: Store, run: str, predictions: list[ExpectedPrediction]) -> None:
    """These predictions, and no others, were scored in this run, and came to what is written."""
    scores = {(row.model, row.instance_id, row.sample): row for row in store.rows(Score, run_id=run)}
    assert len(scores) == len(predictions)
    for expected in predictions:
        score = scores[expected.model, expected.instance_id, expected.sample]
        found = (score.status, score.opt_base, score.opt_human)
        assert found == (expected.truth.status, expected.truth.opt_base, expected.truth.opt_human), (expected, score)


def test_every_outcome_is_the_documented_one(demo: Path) -> None:
    check_against_truth(demo)


def test_polars_reads_every_table(demo: Path) -> None:
    for table in TABLES:
        assert len(pl.read_parquet(f"{demo}/{table}/**/*.parquet")) > 0, table


def test_the_report_is_one_page_without_links_to_elsewhere(demo: Path) -> None:
    page = (demo / "report" / "index.html").read_text(encoding="utf-8")

    class Links(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += [value for name, value in attrs if name in ("src", "href") and value]

    parser = Links()
    parser.feed(page)
    assert [link for link in parser.found if not link.startswith(("#", "data:"))] == []
    for instance in load_expected().instances:
        assert instance.instance_id in page


def test_a_second_run_executes_nothing(demo: Path, lone_isobench: Isobench) -> None:
    done = lone_isobench("demo", "--store", demo)
    assert done.returncode == 0, done.stderr
    executed, cached = re.search(r"(\d+) executed, (\d+) from the cache", done.stdout).groups()  # type: ignore[union-attr]
    assert int(executed) == 0
    assert int(cached) > 50
    check_against_truth(demo)


def test_a_store_that_moved_remembers(demo: Path, isobench: Isobench, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(demo, moved, symlinks=True)
    done = isobench("demo", "--store", moved)
    assert done.returncode == 0, done.stderr
    assert " 0 executed" in done.stdout


def test_exported_instances_are_a_dataset(demo: Path, isobench: Isobench, tmp_path: Path) -> None:
    for name in ("instances.jsonl", "instances.parquet"):
        done = isobench("export", demo, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        found, problems = read_instances(tmp_path / name)
        assert problems == []
        assert found == complete_instances(Store(demo))
        assert all(row.problem_statement for row in found)
    gso = isobench("export", demo, "--out", tmp_path / "gso.parquet", "--layout", "gso")
    assert gso.returncode == 2
    assert "name the file .jsonl" in gso.stderr


@pytest.mark.docker
@pytest.mark.rotated(1)
@pytest.mark.parametrize("name", [instance.name for instance in load_expected().instances])
def test_an_instances_predictions_come_to_the_same_in_docker(
    name: str, demo: Path, isobench: Isobench, tmp_path: Path, docker_image: str
) -> None:
    store, wanted = tmp_path / "store", load_expected().by_name[name].instance_id
    shutil.copytree(demo, store, symlinks=True)
    files = []
    for file in (FOLDER / "predictions").glob("*.jsonl"):
        lines = [line for line in file.read_text().splitlines() if json.loads(line)["instance_id"] == wanted]
        (tmp_path / file.name).write_text("".join(f"{line}\n" for line in lines))
        files += ["--predictions", tmp_path / file.name]
    done = isobench("evaluate", "--dataset", store, *files, "--k", "3", "--sandbox", "docker", "--run-id", "docker")
    assert done.returncode == 0, done.stdout + done.stderr
    check_scores(Store(store), "docker", [one for one in load_expected().predictions() if one.instance == name])


@pytest.mark.docker
@pytest.mark.thorough
def test_docker_gives_the_same_verdicts(isobench: Isobench, tmp_path: Path, docker_image: str) -> None:
    done = isobench("demo", "--store", tmp_path / "store", "--sandbox", "docker", timeout_s=800)
    assert done.returncode == 0, done.stdout + done.stderr
    check_against_truth(tmp_path / "store")
