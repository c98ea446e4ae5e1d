"""What agents are told, by preset, and that it never gives the human's change away."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from configs.attempts import AttemptConfig
from storage.tables import Instance
from tasks.agents.prompt import PromptError, target_files, write_prompt
from tasks.code.leaks import find_leaks
from tests.tasks.agents.lab import PERF_TEST

PATCH = """diff --git a/src/tinylib/core.py b/src/tinylib/core.py
--- a/src/tinylib/core.py
+++ b/src/tinylib/core.py
@@ -1,4 +1,5 @@
 def unique(items):
+    already_met = set()
     found = []
     for item in items:
-        if item not in found:
+        if item not in already_met and measure(workspace, perf_counter):
diff --git a/tests/test_core.py b/tests/test_core.py
--- a/tests/test_core.py
+++ b/tests/test_core.py
@@ -1 +1,2 @@
 import tinylib
+import pytest
diff --git a/src/tinylib/new.py b/src/tinylib/new.py
new file mode 100644
--- /dev/null
+++ b/src/tinylib/new.py
@@ -0,0 +1 @@
+x = 1
"""
STATEMENT = "`unique` is slow\n\nIts time grows with the square of the length."


def instance(**more: Any) -> Instance:
    return Instance.model_validate(
        {
            "instance_id": "someone__tinylib-PR-7", "repo": "someone/tinylib", "repo_url": "x", "created_at": None,
            "base_commit": "b" * 40, "head_commit": "a" * 40, "patch": PATCH, "api": "tinylib.core.unique",
            "efficiency_test": [PERF_TEST, "# second\n" + PERF_TEST], "dialects": ["isobench", "isobench"],
            "test_functions": ["tinylib.core.unique", "tinylib.core.other"], "problem_statement": STATEMENT, **more,
        }
    )  # fmt: skip


def test_ours_tells_the_statement_the_names_and_how_to_measure() -> None:
    made = write_prompt(instance(), AttemptConfig())
    assert STATEMENT in made.text
    assert "- tinylib.core.unique\n- tinylib.core.other\n" in made.text
    assert "time.perf_counter" in made.text
    assert "/perf_tests" not in made.text
    assert made.perf_tests == []
    assert "PR-7" not in made.text


@pytest.mark.parametrize(("perf_tests", "count"), [("example", 1), ("all", 2)])
def test_perf_tests_are_shown_as_configured(perf_tests: Any, count: int) -> None:
    made = write_prompt(instance(), AttemptConfig(perf_tests=perf_tests))
    assert [test.name for test in made.perf_tests] == ["perf_test_1.py", "perf_test_2.py"][:count]
    assert "`python /perf_tests/measure.py` times" in made.text
    assert "time.perf_counter" not in made.text


def test_iso_benchs_tells_files_and_no_workload() -> None:
    made = write_prompt(instance(), AttemptConfig(prompt="iso-bench", perf_tests="all"))
    assert "- src/tinylib/core.py\n\n" in made.text
    assert made.perf_tests == []
    assert "perf_tests" not in made.text
    assert target_files(PATCH) == ["src/tinylib/core.py"]


def test_gsos_tells_the_script_alone() -> None:
    made = write_prompt(instance(), AttemptConfig(prompt="gso", perf_tests="example"))
    assert PERF_TEST.strip() in made.text
    assert STATEMENT not in made.text
    with pytest.raises(ValidationError, match="prompt gso tells of a perf test"):
        AttemptConfig(prompt="gso")
    with pytest.raises(PromptError, match="no perf test to show"):
        write_prompt(instance(efficiency_test=[], dialects=[]), AttemptConfig(prompt="gso", perf_tests="all"))


@pytest.mark.parametrize("statement", ["Use `already_met = set()` there.", "It should remember `already_met` items."])
def test_what_gives_the_change_away_is_not_shown(statement: str) -> None:
    with pytest.raises(PromptError, match="is not shown to an agent: it gives away"):
        write_prompt(instance(problem_statement=statement), AttemptConfig())


def test_a_statement_that_no_command_line_can_hold() -> None:
    with pytest.raises(PromptError, match="holds a NUL"):
        write_prompt(instance(problem_statement="slow\0"), AttemptConfig())


def test_our_own_words_give_nothing_away() -> None:
    """Although the change uses some of them."""
    for settings in (AttemptConfig(perf_tests="all"), AttemptConfig(prompt="gso", perf_tests="all")):
        made = write_prompt(instance(), settings)
        assert find_leaks(made.text, PATCH).lines_leaked == 0


def test_perf_tests_that_tell_too_much_are_left_out() -> None:
    telling = f"{PERF_TEST}\n\nif item not in already_met and measure(workspace, perf_counter):\n    pass\n"
    scripts = [telling, PERF_TEST, '{"command": "x"}']
    made = write_prompt(
        instance(efficiency_test=scripts, dialects=["isobench", "gso", "command"]), AttemptConfig(perf_tests="all")
    )
    assert [test.name for test in made.perf_tests] == ["perf_test_2.py"]
    assert made.notes == [
        "perf test 1 holds lines of the human's change and is not shown",
        "perf test 3 is a command, which is not shown",
    ]  # fmt: skip


def test_an_instance_without_a_statement_has_names_at_least() -> None:
    made = write_prompt(instance(problem_statement=""), AttemptConfig())
    assert "Calls of tinylib.core.unique, tinylib.core.other are slow." in made.text
    with pytest.raises(PromptError, match="says neither what is slow nor which names"):
        write_prompt(instance(problem_statement="", api="", test_functions=[]), AttemptConfig())
