"""Leaks in texts about real changes: the demo's history, and what people do to code when they quote it."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from configs.demo.build import build_demo_repository
from tasks.code.leaks import GivesAway, cut_leaks, find_leaks, must_not_leak

PATCH = '''diff --git a/kit/merge.py b/kit/merge.py
--- a/kit/merge.py
+++ b/kit/merge.py
@@ -1,9 +1,14 @@ def header(): ...
+from collections import deque
+
+
 def rolling_max(values, width):
     """Largest of the last `width` values, for each value."""
     found = []
-    for index in range(len(values)):
-        found.append(max(values[max(0, index - width + 1) : index + 1]))
+    window = deque()
+    for index, value in enumerate(values):
+        while window and values[window[-1]] <= value:
+            window.pop()
+        window.append(index)
+        if window[0] <= index - width: window.popleft()
+        found.append(values[window[0]])
     return found
'''
CLEAN = """Calling `rolling_max(values, width)` on long lists takes time proportional to its length times `width`: a
list of 100,000 values with a width of 1,000 takes many seconds. Each result looks at all values of its window again, as
in `max(values[max(0, index - width + 1) : index + 1])`.

- Make it fast for wide windows.
- Results must stay the same, for empty lists and for a width of 1, too.
"""


def kinds(text: str, known: tuple[str, ...] = ()) -> set[str]:
    return {leak.kind for leak in find_leaks(text, PATCH, known).leaks}


def test_a_statement_about_base_is_clean() -> None:
    report = find_leaks(CLEAN, PATCH)
    assert (report.lines_leaked, report.rate, report.leaks) == (0, 0, [])
    assert report.lines_added >= 5
    assert cut_leaks(CLEAN, PATCH) == (CLEAN, 0)


@pytest.mark.parametrize(
    "quote",
    [
        "while window and values[window[-1]] <= value:",
        "+        while window and values[window[-1]] <= value:",
        "Keep `while window and values[window[-1]]<=value:` in the loop.",
        "```python\nwhile (\n    window\n    and values[\n        window[-1],\n    ] <= value\n):\n```",
        "> while window and \\\n>     values[ window[ -1 ] ] <= value :",
        "while queue and items[queue[-1]] <= item:",
        "while q and xs[\n  q[-1]\n] <= x:",
    ],
    ids=["word for word", "diff", "in prose", "split over lines", "quoted", "renamed", "renamed and split"],
)
def test_an_added_line_is_found_whatever_is_done_to_it(quote: str) -> None:
    report = find_leaks(f"{CLEAN}\n{quote}\n", PATCH)
    assert report.lines_leaked == 1
    left, cut = cut_leaks(f"{CLEAN}\n{quote}\n", PATCH)
    assert cut >= 1
    assert find_leaks(left, PATCH).leaks == []
    assert left.startswith(CLEAN.strip()[:300])


def test_renaming_must_be_consistent() -> None:
    assert "line" not in kinds("while queue and items[other[-1]] <= item:")


def test_names_that_only_the_change_has() -> None:
    assert find_leaks("A deque would make it fast.", PATCH).names == ["deque"]
    assert find_leaks("Keep the candidates in a `window`.", PATCH).names == ["window"]
    assert find_leaks("The window slides over the values; enumerate them.", PATCH).names == []


def test_a_part_of_a_long_line_and_short_lines_in_a_row() -> None:
    assert "tokens" in kinds("if queue: x = window and values[window[-1]] <= 0")
    assert "tokens" in kinds("window.pop()\nwindow.append(index)")
    assert "names" in kinds("It goes over index, value, values and window.")


def test_what_whoever_reads_it_has_anyhow_is_no_leak() -> None:
    line = "while window and values[window[-1]] <= value:"
    known = f"def elsewhere():\n    window = deque()\n    {line}\n        pass\n"
    assert find_leaks(line, PATCH, [known]).leaks == []


def test_a_text_that_is_nothing_but_the_fix_is_cut_to_nothing() -> None:
    added = "\n".join(line[1:] for line in PATCH.splitlines()[4:] if line.startswith("+"))
    report = find_leaks(added, PATCH)
    assert report.rate == 1
    assert cut_leaks(added, PATCH)[0] == ""


def test_a_prompt_for_an_agent_passes_or_says_what_it_gives_away() -> None:
    prompt = f"Make this repository faster.\n\n{CLEAN}\nRun the tests with pytest."
    assert must_not_leak(prompt, PATCH).rate == 0
    with pytest.raises(GivesAway, match=r"1 of \d+ added lines: while window and values") as caught:
        must_not_leak(f"{prompt}\n```python\nwhile window and values[window[-1]]<=value:\n```", PATCH)
    assert caught.value.report.rate > 0
    with pytest.raises(GivesAway, match="deque"):
        must_not_leak(f"{prompt} A deque may help.", PATCH)


def test_a_patch_without_added_lines_has_nothing_to_give_away() -> None:
    removed = "\n".join(line for line in PATCH.splitlines() if not line.startswith("+") or line.startswith("+++"))
    assert find_leaks(CLEAN, removed).rate == 0


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    """(file before, file after, diff) of every code file that a commit of the demo's history changes."""
    repository: Path = tmp_path_factory.mktemp("demo") / "logkit"
    build_demo_repository(repository)

    def git(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=repository, text=True)

    found = []
    for sha in git("log", "--first-parent", "--format=%H").split()[:-1]:
        for path in git("diff", "--name-only", "--diff-filter=M", f"{sha}^", sha, "--", "logkit/*.py").split():
            before, after = git("show", f"{sha}^:{path}"), git("show", f"{sha}:{path}")
            found.append((before, after, git("diff", f"{sha}^", sha, "--", path)))
    assert len(found) >= 10
    return found


def test_the_code_before_a_change_gives_nothing_away(history: list[tuple[str, str, str]]) -> None:
    assert [find_leaks(before, diff, [before]).leaks for before, _, diff in history] == [[]] * len(history)


def test_the_code_after_it_gives_everything_away_also_when_a_parser_has_written_it_anew(
    history: list[tuple[str, str, str]],
) -> None:
    reports = [find_leaks(after, diff, [before]) for before, after, diff in history]
    assert sum(report.lines_added for report in reports) > 50
    assert {report.rate for report in reports if report.lines_added} == {1.0}
    rewritten = [find_leaks(ast.unparse(ast.parse(after)), diff, [before]) for before, after, diff in history]
    # comments do not survive that; what is left is nearly all of the code
    assert sum(report.lines_leaked for report in rewritten) > 0.8 * sum(report.lines_added for report in rewritten)


def test_what_is_left_after_cutting_is_clean(history: list[tuple[str, str, str]]) -> None:
    for before, after, diff in history:
        left, _ = cut_leaks(f"It is slow.\n\n{after}", diff, [before])
        assert find_leaks(left, diff, [before]).leaks == []
        assert left.startswith("It is slow.")
