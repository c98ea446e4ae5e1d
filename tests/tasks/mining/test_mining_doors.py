"""Cache keys of the doors hold content only; only outside faults are retried."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from configs.models import LLMConfig, MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit, PullRequest
from tasks.llm import LlmError, Waiting
from tasks.llm.asked import find_asked
from tasks.mining import classify, stage
from tasks.mining.errors import MiningError
from tasks.mining.faults import is_outside_fault

BASE: dict[str, Any] = {
    "repository": RepositoryConfig(name="a/b", url="/somewhere"),
    "mining": MiningConfig(),
    "head_sha": "0" * 40,
    "store": "./store",
}
ASKED: dict[str, Any] = {
    "repository": BASE["repository"],
    "sha": "0" * 40,
    "llm": LLMConfig(model="x/y"),
    "store": "./store",
}


def mine_key(**changed: Any) -> str:
    key = stage.mine_repository.cache_key_fn
    assert key is not None
    return str(key(None, {**BASE, **changed}))  # type: ignore[arg-type]


def classify_key(**changed: Any) -> str:
    key = stage.classify_commit.cache_key_fn
    assert key is not None
    return str(key(None, {**ASKED, **changed}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"store": "/elsewhere"},
        {"repository": RepositoryConfig(name="a/b", url="https://example.org/a/b.git")},
        {"mining": MiningConfig(max_candidates=3)},
        {"mining": MiningConfig(pull_requests=True)},
    ],
)
def test_where_it_lies_does_not_matter(changed: dict[str, Any]) -> None:
    assert mine_key(**changed) == mine_key()


@pytest.mark.parametrize(
    "changed",
    [
        {"head_sha": "1" * 40},
        {"repository": RepositoryConfig(name="a/c")},
        {"repository": RepositoryConfig(name="a/b", languages=["python", "c"])},
        {"mining": MiningConfig(max_files=3)},
        {"mining": MiningConfig(max_commits=3)},
    ],
)
def test_what_it_is_does(changed: dict[str, Any]) -> None:
    assert mine_key(**changed) != mine_key()


def test_budget_does_not_change_a_verdict_but_the_model_does() -> None:
    assert classify_key(llm=LLMConfig(model="x/y", budget_usd=3, retries=1)) == classify_key()
    assert classify_key(llm=LLMConfig(model="x/z")) != classify_key()
    assert classify_key(llm=LLMConfig(model="x/y", temperature=0)) != classify_key()
    assert classify_key(sha="1" * 40) != classify_key()


def test_what_was_said_about_a_change_is_asked_about(tmp_path: Path) -> None:
    store = Store(tmp_path)
    change = Commit(
        repo="a/b", sha="0" * 40, parent_sha=None, author_date=datetime.now(UTC), subject="x (#7)", message="x (#7)",
        pr_number=7, kept=True, reason="kept",
    )  # fmt: skip
    store.append([change])
    before = classify_key(store=str(tmp_path))
    said = PullRequest(
        repo="a/b", number=7, status="ok", title="2x faster", claims=["2x"], fetched_at=datetime.now(UTC)
    )
    store.append([said])
    assert classify.said_of(store, "a/b", "0" * 40) == said
    after = classify_key(store=str(tmp_path))
    assert after != before
    store.append([said.model_copy(update={"fetched_at": datetime.now(UTC)})])
    assert classify_key(store=str(tmp_path)) == after
    store.append([said.model_copy(update={"status": "not_found"})])
    assert classify_key(store=str(tmp_path)) == before


def test_the_prompt_quotes_the_pull_request(tmp_path: Path) -> None:
    store = Store(tmp_path)
    when = datetime.now(UTC)
    commit = Commit(
        repo="a/b", sha="0" * 40, parent_sha=None, author_date=when, subject="m (#7)", message="m (#7)", pr_number=7,
        kept=True, reason="kept",
    )  # fmt: skip
    said = PullRequest(repo="a/b", number=7, status="ok", title="Twice as fast", claims=["2x"], fetched_at=when)
    store.append([commit])
    llm = LLMConfig(model="openai/gpt-4o-mini", batch=True)

    def asked() -> str:
        with pytest.raises(Waiting):
            classify.classify_commit(RepositoryConfig(name="a/b"), commit.sha, llm, store)
        return find_asked(store, commit.sha)[0].messages[1]["content"]

    assert "Pull request" not in asked()
    store.append([said])
    assert "Twice as fast" in asked()
    assert "Gains that are claimed: 2x" in asked()


def test_faults() -> None:
    assert is_outside_fault(MiningError("x", outside=True))
    assert is_outside_fault(LlmError("x"))
    assert is_outside_fault(OSError("disk"))
    assert not is_outside_fault(MiningError("x"))
    assert not is_outside_fault(LlmError("x", transient=False))
    assert not is_outside_fault(ValueError("x"))
