from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from tasks.llm import prompts
from tasks.llm.diffs import cut_diff
from tasks.llm.prompts import render


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    prompts._environment.cache_clear()
    yield tmp_path
    prompts._environment.cache_clear()


def test_blocks_version_and_hash(folder: Path) -> None:
    (folder / "greet.j2").write_text(
        "{# version: 3 #}\n{% block system %}\nBe kind.\n{% endblock %}\n"
        "{% block user %}\nGreet {{ who }}.\n{% endblock %}\n"
    )
    prompt = render("greet", who="{{ world }}")
    assert (prompt.version, prompt.system, prompt.user) == (3, "Be kind.", "Greet {{ world }}.")
    assert prompt.sha == render("greet", who="{{ world }}").sha
    assert prompt.sha != render("greet", who="Ada").sha


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("{% block user %}x{% endblock %}", ValueError, "version"),
        ("{# version: 1 #}\n{% block system %}x{% endblock %}", ValueError, "user"),
        ("{# version: 1 #}\n{% block user %}{{ nobody }}{% endblock %}", jinja2.UndefinedError, "nobody"),
    ],
)
def test_what_a_template_must_have(folder: Path, text: str, error: type[Exception], match: str) -> None:
    (folder / "bad.j2").write_text(text)
    with pytest.raises(error, match=match):
        render("bad")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match="perf_test"):
        render("nothing_of_that_name")


def test_neither_prompts_nor_structured_output_load_litellm() -> None:
    code = "import sys, tasks.llm, tasks.perftests.sources.llm; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def file_diff(path: str, *hunks: str) -> str:
    body = "".join(f"@@ -1 +1 @@\n{hunk}\n" for hunk in hunks)
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{body}"


def test_a_short_diff_is_left_alone() -> None:
    patch = file_diff("a.py", "-x\n+y")
    assert cut_diff(patch, len(patch)) == patch


def test_hunks_go_whole_code_before_tests() -> None:
    tests = file_diff("tests/test_a.py", "-" + "t" * 300)
    code = file_diff("src/a.py", "-" + "a" * 300, "-" + "b" * 3000, "-" + "c" * 200)
    cut = cut_diff(tests + code, 800)
    assert "a" * 300 in cut
    assert "c" * 200 in cut
    assert "bb" not in cut
    assert "tt" not in cut
    assert "[cut: 1 of 1 hunks of tests/test_a.py; 1 of 3 hunks of src/a.py]" in cut
    assert cut.startswith("diff --git a/src/a.py")


def test_a_diff_without_any_room_says_so() -> None:
    assert cut_diff(file_diff("a.py", "-" + "a" * 500), 10) == "[cut: 1 of 1 hunks of a.py]\n"
