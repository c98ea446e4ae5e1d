"""A small package with tests of its own as arms, in the real sandbox, and what its human's code passes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.models import SandboxConfig
from tasks.own_pytest import tools_folder
from tasks.sandbox import Arm, Environment, limits_of, open_sandbox
from tasks.suites.checking import Tally, check, refer
from tasks.suites.models import Checked, Reference
from tasks.suites.running import Place

WORDS = '''"""Counts words."""


def count_words(text):
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def top(text, number):
    """The most frequent words."""
    if text is None:
        raise ValueError("no text")
    counts = count_words(text)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def never():
    """No test calls it."""
'''
TESTS = """import unittest

import pytest

from kit.words import count_words, top


def test_count_words():
    assert count_words("a b a") == {"a": 2, "b": 1}


@pytest.mark.parametrize("number", [1, 2])
def test_top(number, text):
    assert len(top(text, number)) == number


def test_no_text():
    with pytest.raises(ValueError, match="no text"):
        top(None, 1)


class TopCase(unittest.TestCase):
    def test_top_of_case(self):
        self.assertEqual(top("x y x", 1), [("x", 2)])
"""
CONFTEST = "import pytest\n\n\n@pytest.fixture\ndef text():\n    return 'a b c'\n"
FILES = {
    "kit/__init__.py": "",
    "kit/words.py": WORDS,
    "tests/__init__.py": "",
    "tests/conftest.py": CONFTEST,
    "tests/test_words.py": TESTS,
}
NAMES = [
    f"tests/test_words.py::{name}"
    for name in ("test_count_words", "test_top[1]", "test_top[2]", "test_no_text", "TopCase::test_top_of_case")
]


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


@dataclass
class Desk:
    """A place to run tests, and arms to run them on."""

    place: Place

    def arm(self, name: str, files: dict[str, str]) -> Arm:
        """An arm with the environment of these tests, which holds pytest."""
        folder = self.place.work / name
        shutil.rmtree(folder, ignore_errors=True)
        write(folder, FILES | files)
        environment = Environment(env_id="tests", kind="local", python="/env/bin/python", path=sys.prefix)
        return Arm(name=name, arm_id=name, checkout=name, environment=environment)

    def check(self, name: str, words: str, reference: Reference, check_s: float = 60) -> tuple[Checked, Tally]:
        """Judge a patch whose module is this."""
        return check(self.place, self.arm(name, {"kit/words.py": words}), reference, [], check_s)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    work = tmp_path_factory.mktemp("suites")
    config = SandboxConfig(memory_mb=1024)
    with open_sandbox(config) as sandbox:
        yield Desk(Place(sandbox, work, limits_of(config), tools_folder(work)))


@pytest.fixture(scope="session")
def reference(desk: Desk) -> Reference:
    """What the package as it is passes."""
    return refer(desk.place, "it", desk.arm("human", {}), NAMES, len(NAMES), 60)


Judge = Callable[[str, str], tuple[Checked, Tally]]
