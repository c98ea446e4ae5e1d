"""APIs of the demo's commits, statically and ordered by the demo's model; and the reasons for having none."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import git
import pytest

from configs.demo.build import build_demo_repository
from configs.demo.truth import load_expected
from configs.models import LLMConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Api, Commit, PullRequest
from tasks.apis.find import find_apis
from tasks.apis.models import ApisError
from tasks.apis.stage import _apis_key
from tasks.llm import Waiting
from tasks.llm.demo import MODEL
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Requests

NAME = "isobench-demo/logkit"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("apis") / "origin"
    build_demo_repository(path)
    return path


@pytest.fixture
def store(origin: Path, tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    git.Repo.clone_from(str(origin), store.work / "clones" / "isobench-demo__logkit.git", bare=True)
    return store


def sha_of(name: str) -> str:
    return next(change.sha for change in load_expected().changes if change.instance == name)


def commit(store: Store, sha: str, *functions: str) -> RepositoryConfig:
    repository = git.Repo(store.work / "clones" / "isobench-demo__logkit.git")
    message = str(repository.commit(sha).message)
    row = Commit(
        repo=NAME, sha=sha, parent_sha=None, author_date=datetime(2024, 1, 1, tzinfo=UTC), message=message,
        subject=message.split("\n", maxsplit=1)[0], functions_changed=list(functions), kept=True, reason="kept",
    )  # fmt: skip
    store.append([row])
    return RepositoryConfig(name=NAME)


def test_static_apis_with_their_paths(store: Store) -> None:
    sha = sha_of("times")
    repository = commit(store, sha, "logkit/record.py::parse_time", "logkit/record.py::_start_of_minute")
    found = find_apis(repository, sha, None, store)
    assert found.apis[0] == "logkit.parse_time"
    assert "logkit.parse_line" in found.apis
    assert found.reason == ""
    rows = sorted(store.rows(Api, NAME), key=lambda row: row.rank)
    assert [row.api for row in rows] == found.apis
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    assert {row.source for row in rows} == {"static"}
    line = next(row for row in rows if row.api == "logkit.parse_line")
    assert line.evidence == ["logkit.record.parse_line", "logkit.record.parse_time"]
    assert line.distance == 1


def test_names_that_the_parent_lacks_come_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with git.Repo.init(tmp_path / "origin") as origin:
        shas = []
        for source in (
            "def old():\n    return _helper()\ndef _helper():\n    return 1\n",
            "def a():\n    return _helper()\ndef old():\n    return _helper()\ndef _helper():\n    return 2\n",
        ):
            (tmp_path / "origin" / "mod.py").write_text(source)
            origin.index.add(["mod.py"])
            shas.append(origin.index.commit("Faster").hexsha)
    git.Repo.clone_from(str(tmp_path / "origin"), store.work / "clones" / "acme__mod.git", bare=True).close()
    row = Commit(
        repo="acme/mod", sha=shas[1], parent_sha=shas[0], author_date=datetime(2024, 1, 1, tzinfo=UTC),
        message="Faster", subject="Faster", functions_changed=["mod.py::_helper"], kept=True, reason="kept",
    )  # fmt: skip
    store.append([row])
    found = find_apis(RepositoryConfig(name="acme/mod"), shas[1], None, store)
    assert found.apis == ["mod.old", "mod.a"]
    assert found.contract_changed


def test_the_model_orders_and_unknown_names_are_dropped(store: Store) -> None:
    sha = sha_of("times")
    repository = commit(store, sha, "logkit/record.py::parse_time")
    found = find_apis(repository, sha, LLMConfig(model=MODEL), store)
    assert found.apis[0] == "logkit.parse_line"
    assert found.reason == "unknown names dropped: logkit.read_lines"
    assert "logkit.read_lines" not in found.apis
    rows = {row.api: row for row in store.rows(Api, NAME)}
    assert rows["logkit.parse_line"].source == "llm"
    assert rows["logkit.parse_line"].evidence
    assert "static" in {row.source for row in rows.values()}


def test_the_model_sees_what_was_said_about_the_change(store: Store) -> None:
    sha = sha_of("times")
    repository = commit(store, sha, "logkit/record.py::parse_time")
    row = store.rows(Commit, NAME, sha=sha)[0].model_copy(update={"pr_number": 11})
    said = PullRequest(
        repo=NAME, number=11, status="ok", title="Cache minutes", body="python -m timeit 'parse_time(t)' was 3x faster",
        claims=["3x faster"], fetched_at=datetime(2024, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    store.append([row, said])
    with pytest.raises(Waiting):
        find_apis(repository, sha, LLMConfig(model="openai/gpt-4o-mini", batch=True), store)
    (request,) = Requests(cache_folder(store)).waiting()
    asked = request.messages[-1]["content"]
    assert "Pull request: Cache minutes" in asked
    assert "python -m timeit 'parse_time(t)'" in asked


def test_another_discussion_is_another_question() -> None:
    def key(llm: LLMConfig | None, discussion: str) -> str:
        known = {"repository": RepositoryConfig(name=NAME), "sha": "0" * 40, "llm": llm, "discussion": discussion}
        return _apis_key(None, known)

    llm = LLMConfig(model="openai/gpt-4o-mini")
    assert key(llm, "a") != key(llm, "b")
    assert key(None, "a") == key(None, "b")


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ([], "no_function_changed"),
        (["tests/test_frames.py::test_split"], "not_importable: tests/test_frames.py::test_split"),
        (["logkit/frames.py::gone"], "not_importable: logkit/frames.py::gone"),
    ],
)
def test_none_has_a_reason(store: Store, functions: list[str], reason: str) -> None:
    sha = sha_of("frames")
    found = find_apis(commit(store, sha, *functions), sha, None, store)
    assert found.apis == []
    assert found.reason.startswith(reason)


def test_not_mined_and_not_cloned_are_clear_errors(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ApisError, match="mine the repository first"):
        find_apis(RepositoryConfig(name=NAME), "0" * 40, None, store)
    repository = commit(store, sha_of("frames"), "logkit/frames.py::split_frames")
    store.append([store.rows(Commit, NAME)[0].model_copy(update={"sha": "1" * 40})])
    with pytest.raises(ApisError, match="cannot be read"):
        find_apis(repository, "1" * 40, None, store)
