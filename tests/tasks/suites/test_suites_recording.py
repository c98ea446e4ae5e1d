"""Which tests of a repository can judge patches: a suite with everything that goes wrong in suites."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.suites import recording
from tasks.suites.recording import record
from tests.tasks.suites.conftest import WORDS

Desk = Any  # of conftest.py
pytestmark = pytest.mark.timeout(180)
ODD = """import os
import socket
import sys
import time

import pytest

import kit.words
from kit.words import count_words

ran = []


def test_first():
    ran.append(1)


def test_that_wants_another_before_it():
    assert ran


def test_that_asks_for_the_hash_seed():
    assert os.environ["PYTHONHASHSEED"] == "0"


def test_new():
    assert kit.words.NEW


def test_gone():
    assert not hasattr(kit.words, "NEW")


def test_failing():
    assert False


@pytest.mark.skip
def test_skipped():
    pass


@pytest.mark.xfail(strict=True)
def test_that_fails_as_expected():
    assert False


def test_network():
    socket.create_connection(("192.0.2.1", 80), timeout=0.2)


def test_that_writes_beside_itself():
    with open(__file__ + ".out", "w") as file:
        file.write("x")


def test_that_prints():
    for _ in range(100):
        print("x" * 1_000_000)


def test_that_hangs():
    time.sleep(600)


def test_that_ends_the_process():
    os._exit(0)


def test_that_forks():
    if os.fork() == 0:
        return
    os.wait()


def test_working_directory():
    assert os.path.exists("tests/test_odd.py")


def test_that_changes_the_change():
    assert count_words("a a") == {"a": 2}
"""
CHANGED = ["kit/words.py::count_words", "kit/words.py::never", "native/fast.c::count"]


@pytest.fixture(scope="module")
def found(desk: Desk) -> recording.Recording:
    odd = {
        "tests/test_odd.py": ODD,
        "tests/test_ends.py": "import os\n\nos._exit(0)\n",
        "setup.cfg": "[tool:pytest]\naddopts = --no-such-option\n",
    }
    base, human = desk.arm("odd-base", odd), desk.arm("odd-human", odd | {"kit/words.py": WORDS + "\n\nNEW = True\n"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "TEST_S", 2.0)
        return record(desk.place, base, human, CHANGED, 120)


def test_what_passes_on_both_sides_every_time_is_chosen(found: recording.Recording) -> None:
    names = {name.partition("::")[2] for name in found.pass_to_pass if "test_odd" in name}
    assert names == {
        "test_first", "test_that_prints", "test_that_forks", "test_working_directory", "test_that_changes_the_change",
    }  # fmt: skip
    assert found.fail_to_pass == ["tests/test_odd.py::test_new"]
    assert sorted(name.partition("::")[2] for name in found.flaky) == [
        "test_that_asks_for_the_hash_seed", "test_that_wants_another_before_it",
    ]  # fmt: skip


def test_those_that_execute_the_change_come_first(found: recording.Recording) -> None:
    first = [name.partition("::")[2] for name in found.pass_to_pass[: found.of_change]]
    assert set(first) == {
        "test_count_words", "test_top[1]", "test_top[2]", "TopCase::test_top_of_case", "test_that_changes_the_change",
    }  # fmt: skip
    assert len(found.seconds) == len(found.pass_to_pass)


def test_what_no_test_executes_is_named(found: recording.Recording) -> None:
    assert found.uncovered == ["kit/words.py::never"]
    assert found.seen


def test_how_much_of_the_suite_is_chosen_is_counted(found: recording.Recording) -> None:
    assert found.collected == 21
    assert found.share == pytest.approx(10 / 21)
    assert found.not_reached == 0
