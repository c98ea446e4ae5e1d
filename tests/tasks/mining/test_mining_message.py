"""Keywords are words of prose; subjects name pull requests, reverts and merges."""

import pytest

from configs.models import MiningConfig
from tasks.mining import message

KEYWORDS = message.Keywords(MiningConfig().keywords, MiningConfig().ignore_phrases)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Make sorting FASTER", "faster"),
        ("perf(parser): inline peek", "perf"),
        ("perf: x", "perf"),
        ("Speed  up\nthe parser", "speed up"),
        ("Use a cache.", "cache"),
        ("(performance) tweak", "performance"),
        ("Reduce CPU/memory overhead", "overhead"),
        ("Fix `foo`: it was slow", "slow"),
        ("Optimize imports and optimize joins", "optimize"),
        ("Avoid quadratic behaviour; see https://example.org/perf", "quadratic"),
    ],
)
def test_found(text: str, word: str) -> None:
    assert KEYWORDS.find(text) == word


@pytest.mark.parametrize(
    "text",
    [
        "Optimize imports",
        "optimize\nimports",
        "Call optimize() early",
        "Fix optimize(query, fast=True)",
        "Rename `optimize` to `run`",
        "Rename ``optimize`` to ``run``",
        "Document foo.optimize and perf.py",
        "Rename 'optimize' and \"cache\"",
        "Breakfast, perform, cached_property, optimizer, uncached",
        "Pass cache=None",
        "Merge pull request #3 from bob/faster-sort",
        "Move src/perf/slow.py",
        "See https://example.org/performance",
        "Add x\n\nSigned-off-by: Mr Slow <slow@example.org>",
        "Add x\n\n```\noptimize\n```",
        "feat(cache): add x",
        "Mark slow tests",
        "",
    ],
)
def test_not_found(text: str) -> None:
    assert KEYWORDS.find(text) is None


def test_no_keywords_finds_nothing() -> None:
    assert message.Keywords([], []).find("faster") is None


@pytest.mark.parametrize(
    ("subject", "number"),
    [
        ("Faster (#123)", 123),
        ("Merge pull request #45 from a/b", 45),
        ("Merge PR #6: x", 6),
        ("Faster (gh-7)", 7),
        ("Fix #8", None),
        ("Faster (#9) again", None),
    ],
)
def test_pull_request(subject: str, number: int | None) -> None:
    assert message.pull_request(subject) == number


def test_reverts() -> None:
    sha = "0123456789" * 4
    assert message.is_revert('Revert "Faster"')
    assert message.is_revert("revert: faster")
    assert message.is_revert("Reverts the faster path")
    assert not message.is_revert('Revert "Revert "Faster""')
    assert not message.is_revert("Reverse the list")
    assert not message.is_revert("revert() is faster")
    assert message.reverted_sha(f"Revert x\n\nThis reverts commit {sha}.") == sha
    assert message.reverted_sha("This reverts commit abc.") is None


def test_sync_merges() -> None:
    for subject in (
        "Merge branch 'master' of github.com:a/b",
        "Merge branch 'main' into feature",
        "Merge remote-tracking branch 'origin/main'",
        "Merge remote branch 'upstream/master' into x",
    ):
        assert message.is_sync_merge(subject), subject
    for subject in ("Merge branch 'faster'", "Merge pull request #1 from a/main", "Merge branch 'main-speedup'"):
        assert not message.is_sync_merge(subject), subject


def test_headline_is_the_pull_requests_title() -> None:
    assert (
        message.headline("Merge pull request #1 from a/b", "Merge pull request #1 from a/b\n\nFaster\n\nx") == "Faster"
    )
    assert message.headline("Merge x", "Merge x") == "Merge x"
    assert message.headline("Faster", "Faster\n\nMore") == "Faster"
