"""Asking a model for perf tests that differ from the accepted ones, with answers through the batch file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from configs.models import LLMConfig, PerfTestConfig
from storage.store import Store
from storage.tables import Commit, LlmCall
from tasks.llm import Waiting, calls
from tasks.llm.asked import find_asked
from tasks.llm.batch import import_answers
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Requests
from tasks.perftests.kept_verdicts import KeptVerdicts
from tasks.perftests.models import Proposal, Verdict
from tasks.perftests.sources.llm import from_model

ticks = count(1)
LLM = LLMConfig(model="openai/gpt-4o-mini", batch=True)
CONFIG = PerfTestConfig(tests_per_commit=2, repair_turns=1, further_requests=2)
COMMIT = Commit(
    repo="o/r", sha="a" * 40, parent_sha="b" * 40, author_date=datetime(2024, 1, 2, tzinfo=UTC), subject="Faster",
    message="Faster\n\n$ python -m timeit 'r.f()'", functions_changed=["r.py::f"], kept=True, reason="",
)  # fmt: skip


def judge(offer: Proposal) -> Verdict:
    return Verdict(base_duration_s=0.25) if "good" in offer.script else Verdict("runs_on_base", "NameError: x")


def judge_by_a_clock(offer: Proposal) -> Verdict:
    """Says other numbers at each call, as gates do."""
    seconds = next(ticks) / 7
    found = judge(offer)
    return replace(found, base_duration_s=seconds, detail=found.detail and f"{found.detail} after {seconds} s")


def step(store: Store, tmp_path: Path, by: Callable[[Proposal], Verdict] = judge, **scripts: str) -> str:
    """Runs up to the open request, answers it by hand, and returns the last thing that was said to the model."""
    with pytest.raises(Waiting):
        from_model(LLM, COMMIT, ["r.f(x)"], CONFIG, store, by, usage=["tests/test_r.py:1\n    f(1)"])
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


def test_a_question_keeps_the_numbers_of_the_first_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    step(store, tmp_path, judge_by_a_clock, small="good small", large="bad")
    for _ in range(2):  # whatever the clock says later, the same request waits
        with pytest.raises(Waiting):
            from_model(LLM, COMMIT, ["r.f(x)"], CONFIG, store, judge_by_a_clock, usage=["tests/test_r.py:1\n    f(1)"])
        [request] = Requests(cache_folder(store)).waiting()
        assert re.search(r"NameError: x after [\d.]+ s", request.messages[-1]["content"])
    step(store, tmp_path, judge_by_a_clock, large="good large")
    from_model(LLM, COMMIT, ["r.f(x)"], CONFIG, store, judge_by_a_clock, usage=["tests/test_r.py:1\n    f(1)"])
    calls.flush(store)
    rows = store.rows(LlmCall)
    imported, used = ({row.request_key for row in rows if row.outcome == outcome} for outcome in ("imported", "ok"))
    assert imported == used


def test_a_verdict_is_kept_until_its_commit_is_finished(tmp_path: Path) -> None:
    def kept(*decides: str) -> KeptVerdicts:
        return KeptVerdicts(tmp_path, COMMIT.sha, *decides)

    offer = Proposal("small", "r.f", "good", "llm")
    first = kept().of(offer, judge_by_a_clock)
    assert kept().of(offer, judge_by_a_clock) == first
    assert kept("other gates").of(offer, judge_by_a_clock) != first
    assert kept().of(replace(offer, script="good too"), judge_by_a_clock) != first
    for path in tmp_path.rglob("*.json"):
        path.write_text(path.read_text()[:-3])  # half a file
    second = kept().of(offer, judge_by_a_clock)
    assert (second == first, kept().of(offer, judge_by_a_clock)) == (False, second)
    kept().forget()
    assert kept().of(offer, judge_by_a_clock) != second


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
