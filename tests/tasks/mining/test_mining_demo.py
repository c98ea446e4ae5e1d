"""The demo repository through the doors' code: mining, then the model's verdicts, as the documented truth has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.demo.build import build_demo_repository
from configs.demo.truth import load_expected
from configs.models import LLMConfig, MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit, LlmCall
from tasks.llm.demo import MODEL
from tasks.mining.classify import classify_commit
from tasks.mining.errors import MiningError
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository

NAME = "isobench-demo/logkit"


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[RepositoryConfig, Store, list[str]]:
    folder: Path = tmp_path_factory.mktemp("demo")
    build_demo_repository(folder / "origin")
    repository = RepositoryConfig(name=NAME, url=str(folder / "origin"))
    store = Store(folder / "store")
    clone = sync_repository(repository, store)
    return (
        repository,
        store,
        mine_repository(repository, MiningConfig(keep_new_code=True, use_keywords=True), clone.head_sha, store).kept,
    )


def test_every_change_has_its_documented_reason(mined) -> None:
    _, store, kept = mined
    rows = {row.sha: row for row in store.rows(Commit, NAME)}
    changes = load_expected().changes
    assert set(rows) == {change.sha for change in changes}
    for change in changes:
        reason = rows[change.sha].reason.partition(":")[0]
        assert (reason if change.stage == "mining" else reason in ("kept", "not_performance")) == (
            change.reason if change.stage == "mining" else True
        ), change.subject
        assert (change.sha in kept) == (change.stage != "mining")


def test_the_model_drops_what_is_no_optimisation(mined) -> None:
    repository, store, kept = mined
    llm = LLMConfig(model=MODEL)
    verdicts = {sha: classify_commit(repository, sha, llm, store) for sha in kept}
    dropped = {change.sha for change in load_expected().changes if change.stage == "classify"}
    assert dropped
    assert {sha for sha, verdict in verdicts.items() if not verdict.kept} == dropped
    for sha in dropped:
        assert verdicts[sha].reason.startswith("not_performance: ")
        (row,) = store.rows(Commit, NAME, sha=sha)
        assert not row.kept
        assert row.reason == verdicts[sha].reason
        assert row.patch
    assert any(call.repaired for call in store.rows(LlmCall, NAME))
    # mining again keeps its own opinion, so that a model's verdict is asked for (and found in the cache), not lost
    again = mine_repository(repository, MiningConfig(keep_new_code=True, use_keywords=True), kept_head(store), store)
    assert set(again.kept) == set(kept)
    assert again.new == 0


def kept_head(store: Store) -> str:
    return max(store.rows(Commit, NAME), key=lambda row: row.author_date).sha


def test_what_was_not_mined_cannot_be_classified(mined) -> None:
    repository, store, _ = mined
    with pytest.raises(MiningError, match="mine the repository first"):
        classify_commit(repository, "0" * 40, LLMConfig(model=MODEL), store)


def test_what_mining_dropped_is_not_asked_about(mined) -> None:
    repository, store, _ = mined
    root = next(row for row in store.rows(Commit, NAME) if row.reason == "root_commit")
    verdict = classify_commit(repository, root.sha, LLMConfig(model="nobody/nothing"), store)
    assert (verdict.kept, verdict.reason) == (False, "root_commit")
