"""Patches held against the repository's own tests, in the real sandbox."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.suites import checking, session
from tasks.suites.checking import check
from tasks.suites.models import Reference
from tests.hacks.forgeries import FORGERIES
from tests.sampling import cases_of
from tests.tasks.suites.conftest import NAMES, WORDS

Desk = Any  # of conftest.py
pytestmark = pytest.mark.timeout(180)
BROKEN = WORDS.replace("counts.get(word, 0) + 1", "1")
UNSEEN = "swallows-in-the-runner"
"""Without spoiled tests it would pass."""
HONEST = WORDS.replace("for word in text.split():", "for word in text.split(None):")


def test_the_reference_knows_what_passes_and_what_fails_when_it_is_spoiled(reference: Reference) -> None:
    assert reference.tests == NAMES
    assert set(reference.canaries) == set(NAMES) - {"tests/test_words.py::test_top[2]"}  # one per function
    assert all(reference.seconds[name] > 0 for name in NAMES)


def test_an_honest_patch_is_correct(desk: Desk, reference: Reference) -> None:
    checked, tally = desk.check("honest", HONEST, reference)
    assert (checked.correct, checked.reason) == (True, "")
    assert (tally.passed, tally.canaries, tally.not_run) == (5, 4, 0)


def test_a_patch_that_fails_is_incorrect_with_names(desk: Desk, reference: Reference) -> None:
    checked, tally = desk.check("broken", BROKEN, reference)
    assert checked.correct is False
    assert list(tally.failed) == [
        "tests/test_words.py::test_count_words",
        "tests/test_words.py::TopCase::test_top_of_case",
    ]
    assert checked.reason.startswith(
        "fails tests that base and human pass: 2 of 5, tests/test_words.py::test_count_words, "
    )


def test_what_there_is_no_time_for_is_no_failure(desk: Desk, reference: Reference) -> None:
    checked, tally = desk.check("late", HONEST, reference, check_s=0)
    assert (checked.correct, tally.not_run) == (None, 5)
    assert checked.reason == "no time for all tests: 5 of 5 were not run"


def test_a_test_that_takes_much_longer_than_the_humans_fails(
    desk: Desk, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MORE_S", 1.0)
    slow = WORDS.replace(
        "    if text is None:", "    import time\n    time.sleep(5 * (text is None))\n    if text is None:"
    )
    checked, tally = desk.check("slow", slow, reference)
    assert list(tally.failed) == ["tests/test_words.py::test_no_text"]
    assert "takes longer than" in checked.reason


def test_a_module_in_the_place_of_an_installed_one_is_seen(desk: Desk, reference: Reference) -> None:
    arm = desk.arm("shadow", {"pytest.py": "", "kit/words.py": BROKEN})
    checked, _ = check(desk.place, arm, reference, ["kit2", "pytest"], 60)
    assert checked.reason == (
        "forges the outcomes of tests: puts modules of its own in the place of installed ones: pytest"
    )


def test_no_forgery_passes(
    desk: Desk, reference: Reference, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """Each breaks the library, so that two tests fail, and wants them to pass. A push tries a third of them."""
    tried = {UNSEEN, *cases_of(list(FORGERIES), len(FORGERIES) // 3, pytestconfig)}
    monkeypatch.setattr(checking, "MORE_S", 1.5)
    monkeypatch.setattr(session, "GRACE_S", 1.0)

    def check_forged(name: str) -> tuple[bool | None, str]:
        checked, _ = desk.check(f"forged-{name}", BROKEN + FORGERIES[name], reference, 20)
        return checked.correct, checked.reason

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(tried, pool.map(check_forged, tried), strict=True))
    assert {name: answer for name, answer in found.items() if answer[0] is not False} == {}
    forged = {name for name, (_, reason) in found.items() if reason.startswith("forges the outcomes of tests")}
    assert UNSEEN in forged
    assert "\n" not in "".join(reason for _, reason in found.values())
