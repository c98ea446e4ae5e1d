"""Problem statements for commits of the demo: from the demo's answers, from answers that leak, and without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.demo.build import build_demo_repository
from configs.models import LLMConfig, MiningConfig, RepositoryConfig
from storage.exchange.export import records
from storage.store import Store
from storage.tables import Api, Commit, Contract, Instance, PerfTest, PullRequest, Statement
from tasks.code.leaks import find_leaks
from tasks.llm import Waiting, demo
from tasks.llm.asked import find_asked
from tasks.llm.batch import import_answers
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository
from tasks.statements.writing import UnknownCommit, write_statement

DEMO = LLMConfig(model=demo.MODEL)
BATCH = LLMConfig(model="openai/gpt-4o-mini", batch=True)
REPO = "isobench-demo/logkit"


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Commit]]:
    """A store with the demo's commits, and those by subject."""
    folder = tmp_path_factory.mktemp("demo")
    build_demo_repository(folder / "logkit")
    store = Store(folder / "store")
    repository = RepositoryConfig(name=REPO, url=str(folder / "logkit"))
    clone = sync_repository(repository, store)
    mine_repository(repository, MiningConfig(), clone.head_sha, store, "test")
    return folder / "store", {row.subject: row for row in store.rows(Commit)}


@pytest.fixture
def frames(mined: tuple[Path, dict[str, Commit]], tmp_path: Path) -> tuple[Store, Commit, str]:
    """A store of its own with one commit, its API and a perf test of which the id is given."""
    commit = mined[1]["Do not copy the rest of the buffer for every frame"]
    store = Store(tmp_path / "store")
    api = Api(repo=REPO, sha=commit.sha, api="logkit.split_frames", rank=1, evidence=[], source="static")
    test = PerfTest(
        test_id="t1", repo=REPO, sha=commit.sha, api="logkit.split_frames", source="seeded", base_duration_s=0.25,
        script='"""A buffer of many small frames."""\nfrom logkit import split_frames\n', status="accepted",
    )  # fmt: skip
    store.append([commit, api, test])
    return store, commit, "t1"


def answers(store: Store, commit: Commit, tmp_path: Path, **answer: str) -> None:
    """Answer the open request by hand."""
    [asked] = [it for it in find_asked(store, commit.sha, "statements") if it.reply is None]
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({"custom_id": asked.call.request_key, "text": answer}) + "\n")
    assert import_answers(store, file).problems == []


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("Group records in linear time", "leaked: written again"),
        ("Mask whole payloads at once (#9)", ""),
        ("Cache the start of each minute when times are parsed (#11)", ""),
        ("Merge pull request #12 from mia/batched-sink", ""),
        ("Do not copy the rest of the buffer for every frame", ""),
    ],
)
def test_the_demos_statements_give_nothing_away(
    subject: str, reason: str, mined: tuple[Path, dict[str, Commit]]
) -> None:
    store, commit = Store(mined[0]), mined[1][subject]
    stated = write_statement(REPO, commit.sha, DEMO, [], store)
    assert (stated.source, stated.leak_rate, stated.reason) == ("llm", 0, reason)
    [row] = store.rows(Statement, sha=commit.sha)
    assert (row.first_leak_rate > 0) == bool(reason)
    assert row.lines_added >= 3
    assert row.parts_cut == 0
    # the prompt holds none of the lines that the model must not repeat
    messages = find_asked(store, commit.sha, "statements")[0].messages
    assert find_leaks(messages[1]["content"], commit.patch).lines_leaked == 0


def test_without_a_model_a_template_speaks_of_apis_and_workloads(frames: tuple[Store, Commit, str]) -> None:
    store, commit, test_id = frames
    stated = write_statement(REPO, commit.sha, None, [test_id], store)
    assert (stated.source, stated.leak_rate) == ("template", 0)
    [row] = store.rows(Statement)
    assert row.text.startswith("logkit.split_frames is slow\n\nCalls of `logkit.split_frames` take")
    assert "A buffer of many small frames` through `logkit.split_frames`: 0.25 s per call" in row.text


def test_what_leaks_twice_is_cut(frames: tuple[Store, Commit, str], tmp_path: Path) -> None:
    store, commit, test_id = frames
    with pytest.raises(Waiting):
        write_statement(REPO, commit.sha, BATCH, [test_id], store)
    good = (
        "Splitting a buffer of 400 kB with many small frames takes much longer than its size explains. "
        "Twice the buffer takes about four times as long."
    )
    answers(store, commit, tmp_path, title="split_frames is slow", text=f"{good} Use `end = start + 4 + size` instead.")
    assert write_and_wait(store, commit, test_id)
    asked = find_asked(store, commit.sha, "statements")[0]
    assert "gives away" in asked.messages[-1]["content"]
    answers(
        store, commit, tmp_path, title="split_frames is slow",
        text=f"{good}\n\n```python\nwhile (\n    len(data)\n    - position >= 4\n):\n```\nThen `start = end`.",
    )  # fmt: skip
    stated = write_statement(REPO, commit.sha, BATCH, [test_id], store)
    assert (stated.source, stated.leak_rate, stated.reason) == ("llm", 0, "leaked twice: cut")
    [row] = store.rows(Statement)
    assert row.text.split("\n\n")[1] == good
    assert row.parts_cut >= 1
    assert find_leaks(row.text, commit.patch).leaks == []
    assert row.attempts == 2


def write_and_wait(store: Store, commit: Commit, test_id: str) -> bool:
    with pytest.raises(Waiting):
        write_statement(REPO, commit.sha, BATCH, [test_id], store)
    return True


def test_an_answer_that_stays_unusable_leaves_it_to_the_template(
    frames: tuple[Store, Commit, str], tmp_path: Path
) -> None:
    store, commit, test_id = frames
    for _ in range(2):
        assert write_and_wait(store, commit, test_id)
        answers(store, commit, tmp_path, title="It")
    stated = write_statement(REPO, commit.sha, BATCH, [test_id], store)
    assert stated.source == "template"
    assert stated.reason.startswith("unusable answer: ")


def test_pull_requests_and_issues_are_shown_without_the_fix(frames: tuple[Store, Commit, str], tmp_path: Path) -> None:
    store, commit, test_id = frames
    pull = PullRequest(
        repo=REPO, number=77, status="ok", title="Faster frames", body="Keeps `start`.\nMeasured on 400 kB.",
        linked_issues=["#5 split_frames hangs\n1 MB takes a minute.\nwhile len(buffer) - start >= 4 would do."],
        claims=["4x faster"], fetched_at=commit.author_date,
    )  # fmt: skip
    store.append([pull, commit.model_copy(update={"pr_number": 77})])
    assert write_and_wait(store, commit, test_id)
    text = find_asked(store, commit.sha, "statements")[0].messages[1]["content"]
    for shown in (
        "Faster frames",
        "Measured on 400 kB.",
        "1 MB takes a minute.",
        "4x faster",
        "buffer = buffer[4 + size :]",
    ):
        assert shown in text
    for hidden in ("`start`", "would do", "start = end"):
        assert hidden not in text


def test_names_that_only_the_fix_has_are_not_told(frames: tuple[Store, Commit, str], tmp_path: Path) -> None:
    store, commit, test_id = frames
    found = Api(repo=REPO, sha=commit.sha, api="logkit.frames.offsets", rank=2, evidence=[], source="static")
    contract = Contract(repo=REPO, sha=commit.sha, added=["logkit.frames.offsets"], is_changed=True)
    says = commit.model_copy(update={"subject": "Keep `start` for every frame"})
    store.append([says, found, contract])
    assert write_and_wait(store, commit, test_id)
    text = find_asked(store, commit.sha, "statements")[0].messages[1]["content"]
    assert "Public calls: logkit.split_frames\n" in text
    assert "offsets" not in text
    assert "Keep `start`" not in text
    write_statement(REPO, commit.sha, None, [test_id], store)
    assert "offsets" not in store.rows(Statement)[0].text


def test_exports_hold_the_statement(frames: tuple[Store, Commit, str]) -> None:
    store, commit, test_id = frames
    instance = Instance(
        instance_id="a", repo=REPO, repo_url="x", created_at=None, base_commit=commit.parent_sha or "",
        head_commit=commit.sha, patch=commit.patch, efficiency_test=[],
    )  # fmt: skip
    store.append([instance])
    assert next(records(store))["problem_statement"] == ""
    write_statement(REPO, commit.sha, None, [test_id], store)
    assert next(records(store))["problem_statement"].startswith("logkit.split_frames is slow")
    assert next(records(store, "swe-perf"))["problem_statement_realistic"].startswith("logkit.split_frames is slow")


def test_a_commit_that_was_not_mined_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownCommit, match="run mining first"):
        write_statement(REPO, "f" * 40, None, [], Store(tmp_path / "store"))
