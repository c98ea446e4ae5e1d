from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.models import LLMConfig
from storage.store import Store
from storage.tables import Commit, PullRequest
from tasks.llm.background import background, cut_text, perf_commands, pull_request_digests

LLM = LLMConfig(model="openai/gpt-4o-mini", prompt_tokens=2000)
WHEN = datetime(2024, 1, 2, tzinfo=UTC)
COMMIT = Commit(
    repo="o/r", sha="a" * 40, parent_sha=None, author_date=WHEN, subject="Faster (#7)", message="Faster (#7)\n\nMuch.",
    pr_number=7, kept=True, reason="",
)  # fmt: skip
PULL = PullRequest(
    repo="o/r", number=7, status="ok", title="Make it faster",
    body="Was slow.\n\n$ python -m timeit -s 'import r' 'r.f()'",
    labels=["performance"], timeline="2024-01-02 ada (comment): nice", linked_issues=["#3 Slow\nIt is."],
    claims=["2x faster"], fetched_at=WHEN,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_without_a_pull_request_it_is_the_message(store: Store) -> None:
    assert background(LLM, COMMIT, store) == "Message of the commit:\nFaster (#7)\n\nMuch."


def test_everything_that_was_said(store: Store) -> None:
    store.append([PULL])
    text = background(LLM, COMMIT, store)
    for part in (
        "Much.", "Pull request: Make it faster (labels: performance)", "Was slow.", "ada (comment): nice",
        "Issue that it closes: #3 Slow", "Gains that are claimed: 2x faster", "    python -m timeit -s",
    ):  # fmt: skip
        assert part in text, part


def test_what_is_long_is_cut_at_the_end_of_a_line_and_says_so(store: Store) -> None:
    store.append([PULL.model_copy(update={"body": "a line of words\n" * 500})])
    text = background(LLM, COMMIT, store)
    assert "more lines]" in text
    assert text.count("a line of words\n") < 60


def test_a_censor_sees_every_text(store: Store) -> None:
    store.append([PULL])
    assert background(LLM, COMMIT, store, censor=lambda text: "").count("\n") < 5


def test_a_pull_request_that_does_not_exist_is_none(store: Store) -> None:
    store.append([PULL.model_copy(update={"status": "not_found"})])
    assert "Pull request" not in background(LLM, COMMIT, store)


def test_a_longer_discussion_has_another_digest(store: Store) -> None:
    store.append([PULL])
    first = pull_request_digests("o/r", store)[7]
    store.append([PULL.model_copy(update={"etag": "new"})])
    assert pull_request_digests("o/r", store)[7] == first
    store.append([PULL.model_copy(update={"timeline": "more"})])
    assert pull_request_digests("o/r", store)[7] != first


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("$ python -m timeit 'f()'", "python -m timeit 'f()'"),
        ("    asv compare main HEAD", "asv compare main HEAD"),
        ("OMP_NUM_THREADS=1 python benchmarks/run.py --n 5", "OMP_NUM_THREADS=1 python benchmarks/run.py --n 5"),
        ("%timeit f(x)", "timeit f(x)"),
        ("hyperfine './a' './b'", "hyperfine './a' './b'"),
        ("python setup.py install", None),
        ("performance is better now", None),
        ("time", None),
    ],
)
def test_commands_that_measure(line: str, command: str | None) -> None:
    assert perf_commands(f"before\n{line}\nafter") == ([command] if command else [])


def test_cut_text_keeps_whole_lines() -> None:
    text = "\n".join(f"line {number}" for number in range(400))
    cut = cut_text(LLM, text, 100).splitlines()
    assert cut[-1].startswith("[cut: ")
    assert cut[:-1] == text.splitlines()[: len(cut) - 1]
