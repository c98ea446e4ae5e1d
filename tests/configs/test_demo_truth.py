"""What expected.yaml claims about the demo, held against the demo itself: all but the speed."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import comb
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.demo.build import build_demo_repository
from configs.demo.regenerate import stale_files
from configs.demo.truth import FOLDER, load_expected, patch_file
from configs.loading import load_config
from storage.ids import instance_id
from storage.store import Store
from storage.tables import Commit
from tasks.apis.find import find_apis
from tasks.apis.rank import ApiRanking
from tasks.llm.demo import demo_answer
from tasks.mining.classify import PerformanceVerdict
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository
from tasks.perftests.sources.llm import WrittenTests

EXPECTED = load_expected()
SEEDS = (3, 20_240_229)
CANDIDATES = [change for change in EXPECTED.changes if change.stage != "mining"]

RUN = """
import json, sys
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names)
for seed in map(int, sys.argv[2:]):
    print(json.dumps(names["experiment"](names["setup"](seed))))
"""
CHECK = """
import json, sys
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names)
for line in sys.stdin:
    names["check_equivalence"](*json.loads(line))
"""


class Arms:
    """Checkouts of the demo repository, and perf tests run in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        build_demo_repository(self.repository)

    def checkout(self, sha: str, name: str) -> Path:
        tree = self.folder / name
        if not tree.exists():
            tree.mkdir(parents=True)
            archive = ["git", "archive", sha]
            data = subprocess.run(archive, cwd=self.repository, check=True, capture_output=True).stdout
            subprocess.run(["tar", "x"], cwd=tree, check=True, input=data)
        return tree

    def python(self, tree: Path, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        work = tempfile.mkdtemp(dir=self.folder)
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            cwd=work,
            env={"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def results(self, tree: Path, script: Path) -> list[Any]:
        done = self.python(tree, "-c", RUN, str(script), *map(str, SEEDS))
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def agree(self, base: Path, script: Path, reference: list[Any], candidate: list[Any]) -> bool:
        pairs = "".join(json.dumps(pair) + "\n" for pair in zip(reference, candidate, strict=True))
        done = self.python(base, "-c", CHECK, str(script), stdin=pairs)
        assert done.returncode == 0 or "AssertionError" in done.stderr, done.stderr
        return done.returncode == 0


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Arms:
    return Arms(tmp_path_factory.mktemp("arms"))


def scripts(subject: str) -> Iterator[tuple[str, Path]]:
    """Final scripts for a commit, with the API that each names."""
    entries = yaml.safe_load((FOLDER / "answers" / "index.yaml").read_text())
    mine = [entry for entry in entries if entry["task"] == "perf_test" and entry["subject"] == subject]
    for test in max(mine, key=lambda entry: entry.get("attempt", 1))["tests"]:
        yield test["api"], FOLDER / "answers" / test["script_file"]


def ask(task: str, subject: str, attempt: int = 1) -> str:
    sha = next(change.sha for change in EXPECTED.changes if change.subject == subject)
    messages = [{"role": "user", "content": f"task: {task}\ncommit: {sha}\n\nMessage:\n{subject}\n\nmore"}]
    messages += [{"role": "assistant", "content": "..."}, {"role": "user", "content": "again"}] * (attempt - 1)
    return demo_answer(messages)


def test_nothing_is_out_of_date() -> None:
    assert stale_files(write=False) == [], "run `python -m configs.demo.regenerate`"


def test_changes_and_instances_name_each_other() -> None:
    assert [change.instance for change in EXPECTED.changes if change.instance] == [i.name for i in EXPECTED.instances]
    assert {instance.kind for instance in EXPECTED.instances} == {
        "algorithmic", "caching", "vectorising", "avoiding copies", "I/O batching",
    }  # fmt: skip


def test_mining_and_apis_come_to_the_expected_outcomes(arms: Arms, tmp_path: Path) -> None:
    config = load_config(FOLDER / "demo.yaml")
    repository = config.repository
    store = Store(tmp_path / "store")
    clone = sync_repository(repository.model_copy(update={"url": str(arms.repository)}), store)
    mine_repository(repository, config.mining.model_copy(update={"keep_new_code": False}), clone.head_sha, store)
    rows = {row.sha: row for row in store.rows(Commit, repository.name)}
    assert set(rows) == {change.sha for change in EXPECTED.changes}
    for change in EXPECTED.changes:
        row = rows[change.sha]
        assert row.subject == change.subject
        assert row.kept == (change.stage != "mining"), row
        if not row.kept:
            assert row.reason.split(":")[0] == change.reason
        if change.instance:
            expected = EXPECTED.by_name[change.instance].instance_id
            assert instance_id(repository.name, row.sha, row.pr_number) == expected
        if change.stage not in ("mining", "classify"):
            ranked = ApiRanking.model_validate_json(ask("rank_apis", change.subject))
            known = find_apis(repository, change.sha, None, store).apis
            invented = {api.name for api in ranked.apis} - set(known)
            assert invented == ({"logkit.read_lines"} if change.instance == "times" else set())
            assert {api for api, _ in scripts(change.subject)} <= set(known)
    merge = rows[next(change.sha for change in EXPECTED.changes if change.instance == "sink")]
    assert len(merge.inner_shas) == 2


@pytest.mark.parametrize("change", CANDIDATES, ids=lambda change: change.subject[:20])
def test_answers_fit_what_is_asked(change: Any) -> None:
    bad_first = change.instance == "masking"
    if bad_first:
        with pytest.raises(ValueError, match="Invalid JSON"):
            PerformanceVerdict.model_validate_json(ask("classify", change.subject))
    verdict = PerformanceVerdict.model_validate_json(ask("classify", change.subject, 2 if bad_first else 1))
    assert verdict.is_performance == (change.stage != "classify")
    assert [condition.name for condition in verdict.conditions] == [
        "intent", "code_path", "mechanism", "same_result", "measurable",
    ]  # fmt: skip
    assert verdict.is_performance == all(condition.met for condition in verdict.conditions)
    if change.stage != "classify":
        attempts = 2 if change.instance == "times" else 1
        tests = WrittenTests.model_validate_json(ask("perf_test", change.subject, attempts)).tests
        assert [(test.api, test.script) for test in tests] == [(a, s.read_text()) for a, s in scripts(change.subject)]
        assert all("def check_equivalence" in test.script for test in tests)


def test_first_perf_test_for_times_lacks_its_check() -> None:
    subject = "Cache the start of each minute when times are parsed (#11)"
    first, second = (WrittenTests.model_validate_json(ask("perf_test", subject, turn)).tests for turn in (1, 2))
    assert "def check_equivalence" not in first[0].script
    assert [test.name for test in first] == [test.name for test in second]


@pytest.mark.parametrize("change", [c for c in CANDIDATES if c.stage != "classify"], ids=lambda c: c.subject[:20])
def test_perf_tests_are_repeatable_and_judge_the_human(change: Any, arms: Arms) -> None:
    base = arms.checkout(f"{change.sha}^1", f"{change.sha}-base")
    human = arms.checkout(change.sha, f"{change.sha}-human")
    for _, script in scripts(change.subject):
        reference = arms.results(base, script)
        assert reference[0] != reference[1], "seeds must matter"
        assert arms.agree(base, script, reference, arms.results(human, script)) == (change.reason != "incorrect")
        assert not arms.agree(base, script, reference, reference[::-1]), "the check must be alive"


def judge_patch(arms: Arms, instance: str, name: str) -> str:
    """Apply a patch to the base commit, run the library's tests and the perf tests; say what came out."""
    change = next(change for change in EXPECTED.changes if change.instance == instance)
    tree = arms.checkout(f"{change.sha}^1", f"{instance}-{name}")
    patch = patch_file(instance, name)
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)  # else git apply looks for a repository above
    if subprocess.run(["git", "apply", str(patch)], cwd=tree, capture_output=True, check=False).returncode:
        return "patch_failed"
    base = arms.checkout(f"{change.sha}^1", f"{change.sha}-base")
    for _, script in scripts(change.subject):
        if not arms.agree(base, script, arms.results(base, script), arms.results(tree, script)):
            return "incorrect"
    tests = arms.python(tree, "-m", "unittest", "discover", "-s", str(tree / "tests"))
    assert tests.returncode == 0, tests.stderr
    return "ok"


@pytest.mark.parametrize("instance", EXPECTED.instances, ids=lambda instance: instance.name)
def test_patches_do_what_is_said(instance: Any, arms: Arms) -> None:
    assert {path.stem for path in patch_file(instance.name, "x").parent.iterdir()} == set(instance.patches)
    names = list(instance.patches)
    change = next(change for change in EXPECTED.changes if change.instance == instance.name)
    arms.checkout(f"{change.sha}^1", f"{change.sha}-base")  # before threads want it
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(partial(judge_patch, arms, instance.name), names))
    assert dict(zip(names, found, strict=True)) == {name: patch.status for name, patch in instance.patches.items()}


def test_truth_is_far_from_every_threshold() -> None:
    for instance in EXPECTED.instances:
        assert instance.speedup >= 1.2 * 1.2
        for patch in instance.patches.values():
            assert (patch.status == "ok") == (patch.base is not None) == (patch.human is not None)
            if patch.base is not None and patch.human is not None:
                assert (patch.base >= 1.2 * 1.2) == (patch.opt_base == "yes")
                assert patch.base >= 1.2 * 1.2 or patch.base <= 1.05
                assert (patch.human >= 1.0) == (patch.opt_human == "yes")
                assert patch.human >= 1.0 or patch.human <= 0.95 * 0.9


def test_predictions_files(tmp_path: Path) -> None:
    files = sorted((FOLDER / "predictions").glob("*.jsonl"))
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    written = sorted((line["model_name_or_path"], line["instance_id"], line["model_patch"]) for line in lines)
    assert written == sorted((p.model, p.instance_id, p.text) for p in EXPECTED.predictions())
    assert len(lines) == 3 * 3 * len(EXPECTED.instances)
    assert {p.truth.status for p in EXPECTED.predictions()} == {"ok", "incorrect", "patch_failed", "empty_patch"}


def test_opt_at_k_follows_from_the_predictions() -> None:
    for model, shares in EXPECTED.opt_at_k.items():
        for k, share in enumerate(shares, start=1):
            total = 0.0
            for instance in EXPECTED.instances:
                mine = [p for p in EXPECTED.predictions() if (p.model, p.instance) == (model, instance.name)]
                failed = sum(p.truth.opt_human == "no" for p in mine)
                total += 1 - comb(failed, k) / comb(len(mine), k)
            assert share == pytest.approx(total / len(EXPECTED.instances), abs=5e-5), (model, k)
