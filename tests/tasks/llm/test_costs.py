"""What models cost, by stage and by commit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from configs.errors import UserError
from flows.cli import app
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm.buying import WAITING
from tasks.llm.costs import costs


def call(number: int, **more: Any) -> LlmCall:
    values: dict[str, Any] = {
        "call_id": str(number), "repo": "o/r", "stage": "apis", "item": "a" * 40, "model": "openai/ours",
        "prompt_sha": "1", "tokens_in": 100, "tokens_out": 10, "cost_usd": 0.5, "cached": False, "repaired": False,
        "outcome": "ok", "called_at": datetime(2024, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    return LlmCall(**(values | more))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "store")
    found.append(
        [
            call(1),
            call(2, cached=True, cost_usd=0.0),
            call(3, item="b" * 40, repaired=True, cost_usd=1.0),
            call(4, stage="mining", outcome=f"{WAITING}: open", tokens_in=0, tokens_out=0, cost_usd=0.0),
            call(5, stage="perftests", outcome="imported", cost_usd=0.25),
        ]
    )
    return found


def test_only_what_was_bought_costs(store: Store) -> None:
    assert costs(store, ["stage"]) == [
        {"stage": "apis", "requests": 2, "repairs": 1, "from_cache": 1, "tokens_in": 200, "tokens_out": 20,
         "cost_usd": 1.5},
        {"stage": "perftests", "requests": 1, "repairs": 0, "from_cache": 0, "tokens_in": 100, "tokens_out": 10,
         "cost_usd": 0.25},
    ]  # fmt: skip
    assert [(row["stage"], row["cost_usd"]) for row in costs(store, ["stage", "item"], "bbb")] == [("apis", 1.0)]


def test_the_command_shows_stages_commits_and_their_sum(store: Store) -> None:
    shown = CliRunner().invoke(app, ["show", "costs", "--store", store.root])
    assert "1.75" in shown.output
    assert "By stage and commit: 3 of 3" in shown.output
    found = CliRunner().invoke(app, ["show", "costs", "ffff", "--store", store.root])
    assert isinstance(found.exception, UserError)
    assert "no model was asked about 'ffff'" in str(found.exception)
