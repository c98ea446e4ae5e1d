"""A tiny package at two commits, as arms in the real sandbox."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.models import PerfTestConfig, SandboxConfig
from storage.tables import Commit
from tasks.perftests.gates import Bench
from tasks.perftests.models import Proposal
from tasks.perftests.sources.pytest.source import from_tests
from tasks.perftests.targets import find_targets
from tasks.sandbox import Arm, Environment, limits_of, open_sandbox

BASE = '''"""Counts words."""

import re

LIMIT = 10


def count_words(text):
    """How often each word occurs."""
    counts = {}
    for word in re.findall(r"\\w+", text):
        counts[word] = counts.get(word, 0) + 1
    return counts


class Counter:
    @staticmethod
    def top(text, number):
        """The most frequent words."""
        found = []
        counts = dict(count_words(text))
        for _ in range(min(number, len(counts))):
            best = max(sorted(counts), key=lambda word: counts[word])
            found.append((best, counts.pop(best)))
        return found


def middle(values):
    """The middle of many values, or any of few."""
    if len(values) > 50:
        values = sorted(sorted(values))
    return values[len(values) // 2]


def unrelated(values):
    """Sum of squares."""
    return sum(value * value for value in values)


def explode():
    """Works on base only."""
    return 1
'''
HUMAN = (
    BASE.replace(
        """        found = []
        counts = dict(count_words(text))
        for _ in range(min(number, len(counts))):
            best = max(sorted(counts), key=lambda word: counts[word])
            found.append((best, counts.pop(best)))
        return found
""",
        """        return _ranked(count_words(text))[:number]
""",
    )
    .replace("sorted(sorted(values))", "sorted(values)")
    .replace("    return 1\n", '    raise RuntimeError("not any more")\n')
    + """

def _ranked(counts):
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
"""
)
CHANGED = ["kit/words.py::Counter.top", "kit/words.py::middle", "kit/words.py::_ranked"]
SHA, PARENT = "b" * 40, "a" * 40

TESTS = {
    "tests/__init__.py": "",
    "tests/helpers.py": "def sentence(words):\n    return ' '.join(words)\n",
    "tests/conftest.py": (
        "import pytest\n\n\n@pytest.fixture\ndef text():\n    return ' '.join(f'w{n % 37}' for n in range(400))\n"
    ),
    "tests/test_words.py": """import os
import unittest

import pytest

from kit.words import Counter, count_words, unrelated

from .helpers import sentence

calls = []


def test_count_words():
    assert count_words("a b a") == {"a": 2, "b": 1}


def test_top(text):
    assert Counter.top(text, 3)[0][0] == "w0"


@pytest.mark.parametrize("number", [1, 30])
def test_top_many(text, number):
    assert len(Counter.top(sentence(text.split()), number)) == number


def test_top_once(text):
    calls.append(Counter.top(text, 1))
    assert len(calls) == 1


def test_top_that_fails():
    assert Counter.top("a b", 1) == []


@pytest.mark.skip(reason="not today")
def test_top_skipped():
    Counter.top("a", 1)


def test_top_writes(tmp_path):
    (tmp_path / "top").write_text(str(Counter.top("a b a " * 500, 2)))


class TopCase(unittest.TestCase):
    def setUp(self):
        self.text = "x y " * 50

    def test_top_of_case(self):
        self.assertEqual(Counter.top(self.text, 1), [("x", 50)])

    def test_unrelated(self):
        self.assertEqual(unrelated([1, 2]), 5)
""",
    "tests/test_else.py": "def test_nothing():\n    assert True\n",
}


@dataclass
class Kit:
    """Two arms of the package, and what a commit between them says."""

    work: Path
    base: Arm
    human: Arm
    commit: Commit

    def write(self, arm: str, files: dict[str, str]) -> None:
        """Add or replace files of an arm's checkout."""
        write(self.work / arm, files)


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def patch_of(path: str, before: str, after: str) -> str:
    """A unified diff, as git makes it."""
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}")
    return f"diff --git a/{path} b/{path}\n" + "".join(lines)


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


def make_kit(folder: Path) -> Kit:
    package = {"kit/__init__.py": ""}
    write(folder / "base", {**package, **TESTS, "kit/words.py": BASE})
    write(folder / "human", {**package, **TESTS, "kit/words.py": HUMAN})
    # the environment of the tests themselves: it holds pytest
    environment = Environment(env_id="tests", kind="local", python="/env/bin/python", path=sys.prefix)
    arms = {name: Arm(name=name, arm_id=name, checkout=name, environment=environment) for name in ("base", "human")}
    commit = Commit(
        repo="o/kit",
        sha=SHA,
        parent_sha=PARENT,
        author_date=datetime(2024, 1, 1, tzinfo=UTC),
        subject="Rank words by sorting once",
        message="Rank words by sorting once\n\nMuch faster.",
        files=["kit/words.py"],
        patch=patch_of("kit/words.py", BASE, HUMAN),
        functions_changed=CHANGED,
        kept=True,
        reason="keyword: faster",
    )
    return Kit(folder, arms["base"], arms["human"], commit)


@pytest.fixture(scope="session")
def offers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Proposal]:
    """What the pytest source makes of the package as it is: test's name -> proposal."""
    kit = make_kit(tmp_path_factory.mktemp("offers"))
    sandbox = open_sandbox(SandboxConfig())
    proposals = from_tests(
        kit.commit,
        ["kit.words.Counter.top"],
        PerfTestConfig(tests_per_commit=10),
        sandbox=sandbox,
        work=kit.work,
        base=kit.base,
        human=kit.human,
        limits=limits_of(SandboxConfig(memory_mb=1024)),
    )
    sandbox.close()
    return {proposal.name.partition("::")[2]: proposal for proposal in proposals}


@pytest.fixture
def bench(kit: Kit) -> Iterator[Bench]:
    sandbox = open_sandbox(SandboxConfig())
    yield Bench(
        sandbox=sandbox,
        work=kit.work,
        base=kit.base,
        human=kit.human,
        targets=find_targets(CHANGED, ["kit/words.py"], kit.work / "base", kit.work / "human"),
        limits=limits_of(SandboxConfig(memory_mb=1024)),
        patch=kit.commit.patch,
    )
    sandbox.close()


@pytest.fixture
def config() -> PerfTestConfig:
    return PerfTestConfig(min_duration_s=0.0005, max_duration_s=2, gate_timeout_s=60, screen_speedup=1.5)
