"""Asking a model for perf tests that differ from the accepted ones, with answers through the batch file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.models import LLMConfig, PerfTestConfig
from storage.store import Store
from storage.tables import Commit
from tasks.llm import Waiting
from tasks.llm.asked import find_asked
from tasks.llm.batch import import_answers
from tasks.perftests.models import Proposal, Verdict
from tasks.perftests.sources.llm import from_model

LLM = LLMConfig(model="openai/gpt-4o-mini", batch=True)
CONFIG = PerfTestConfig(tests_per_commit=2, repair_turns=1, further_requests=2)
COMMIT = Commit(
    repo="o/r", sha="a" * 40, parent_sha="b" * 40, author_date=datetime(2024, 1, 2, tzinfo=UTC), subject="Faster",
    message="Faster\n\n$ python -m timeit 'r.f()'", functions_changed=["r.py::f"], kept=True, reason="",
)  # fmt: skip


def judge(offer: Proposal) -> Verdict:
    return Verdict(base_duration_s=0.25) if "good" in offer.script else Verdict("runs_on_base", "NameError: x")


def step(store: Store, tmp_path: Path, **scripts: str) -> str:
    """Runs up to the open request, answers it by hand, and returns the last thing that was said to the model."""
    with pytest.raises(Waiting):
        from_model(LLM, COMMIT, ["r.f(x)"], CONFIG, store, judge, usage=["tests/test_r.py:1\n    f(1)"])
    [asked] = find_asked(store, COMMIT.sha, "perftests")
    tests = [{"name": name, "api": "r.f", "script": script} for name, script in scripts.items()]
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"custom_id": asked.call.request_key, "text": {"tests": tests}}) + "\n")
    assert import_answers(store, answers).problems == []
    return asked.messages[-1]["content"]


def test_cases_that_the_accepted_tests_do_not_cover_are_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = step(store, tmp_path, small="good small", large="bad")
    assert "tests/test_r.py:1" in first
    assert "Commands with which somebody measured it:\n    python -m timeit 'r.f()'" in first
    assert "NameError: x" in step(store, tmp_path, large="still bad")
    more = step(store, tmp_path, sorted="good sorted")
    assert "- `small` through r.f: 0.25 s per experiment" in more
    assert "large" not in more
    assert "Write 1 more test " in more
    judged = from_model(LLM, COMMIT, ["r.f(x)"], CONFIG, store, judge, usage=["tests/test_r.py:1\n    f(1)"])
    assert {proposal.name: verdict.accepted for proposal, verdict in judged} == {
        "small": True,
        "large": False,
        "sorted": True,
    }


def test_nothing_more_is_asked_when_nothing_was_good(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    step(store, tmp_path, one="bad")
    step(store, tmp_path, one="bad")
    [(proposal, verdict)] = from_model(
        LLM, COMMIT, ["r.f(x)"], CONFIG, store, judge, usage=["tests/test_r.py:1\n    f(1)"]
    )
    assert (proposal.name, verdict.accepted) == ("one", False)


def test_a_fence_around_a_script_is_no_part_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    step(store, tmp_path, one="```python\r\ngood = 1\r\n```", two="~~~~ \ngood = 2\n~~~~\n")
    judged = from_model(LLM, COMMIT, ["r.f(x)"], CONFIG, store, judge, usage=["tests/test_r.py:1\n    f(1)"])
    assert [proposal.script for proposal, _ in judged] == ["good = 1\n", "good = 2\n"]
