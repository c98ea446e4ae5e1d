"""Cache keys of the doors hold content only; only outside faults are retried."""

from __future__ import annotations

from typing import Any

import pytest

from configs.models import LLMConfig, MiningConfig, RepositoryConfig
from tasks.llm import LlmError
from tasks.mining import stage
from tasks.mining.faults import is_outside_fault
from tasks.mining.models import MiningError

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


def test_faults() -> None:
    assert is_outside_fault(MiningError("x", outside=True))
    assert is_outside_fault(LlmError("x"))
    assert is_outside_fault(OSError("disk"))
    assert not is_outside_fault(MiningError("x"))
    assert not is_outside_fault(LlmError("x", transient=False))
    assert not is_outside_fault(ValueError("x"))
