"""Patches in the dresses that people, models and harnesses give them: what each changes, and what is said of it."""

from __future__ import annotations

import difflib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.texts import storable
from tasks.environments.patching import apply_patch
from tasks.environments.trees import TreeError

OLD = "import os\n\n\ndef pick(items):\n    seen = []\n    for item in items:\n        seen.append(item)\n    return seen\n\n\ndef other():\n    return 1\n"
NEW = OLD.replace(
    "    seen = []\n    for item in items:\n        seen.append(item)\n    return seen\n", "    return list(items)\n"
)
FILES = {"pkg/core.py": OLD, "pkg/with space.py": "X = 1\n", "pkg/é.py": "Y = 1\n", "README.md": "x\n"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of files, without a repository around it."""
    folder = tmp_path / "tree"
    _write(folder, FILES)
    return folder


def _write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _diff(tmp_path: Path, after: dict[str, Any], *options: str, before: dict[str, Any] | None = None) -> str:
    """What git prints for a change from `before`, by default the tree's files, to these with `after` on top."""
    before = FILES if before is None else before
    for side, files in (("a", before), ("b", {**before, **after})):
        _write(tmp_path / "sides" / side, files)
    command = ["git", "diff", "--no-index", *options, "a", "b"]
    done = subprocess.run(command, cwd=tmp_path / "sides", capture_output=True, check=False)
    # --no-index names both sides by their folder, as `a/` and `b/` once more
    text = done.stdout.decode("utf-8", "surrogateescape")
    return re.sub(
        r"(?m)^((?:diff --git|---|\+\+\+|Binary files|rename).*)$",
        lambda m: m[1].replace("a/a/", "a/").replace("b/b/", "b/").replace("a/b/", "a/").replace("b/a/", "b/"),
        text,
    )


def _fast(tmp_path: Path, *options: str) -> str:
    return _diff(tmp_path, {"pkg/core.py": NEW}, *options)


def _lines_off(text: str) -> str:
    return re.sub(r"@@ -\d+,(\d+) \+\d+,(\d+) @@", r"@@ -300,\1 +300,\2 @@", text)


def _counts_off(text: str) -> str:
    return re.sub(r"@@ -(\d+),\d+ \+(\d+),\d+ @@", r"@@ -\1,90 +\2,70 @@", text)


def _without_headers(text: str) -> str:
    return text[text.index("--- a/") :]


DRESSES: dict[str, Callable[[str], str]] = {
    "as git has it": lambda text: text,
    "no last newline": lambda text: text.rstrip("\n"),
    "fence": lambda text: f"```diff\n{text}```\n",
    "prose": lambda text: f"Here is the patch:\n\n{text}\nHope this helps!\n",
    "mail": lambda text: (
        f"From 1a2b Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH] Fast\n\n---\n pkg/core.py | 5 +-\n 1 file changed\n\n{text}-- \n2.39.5\n\n"
    ),
    "no git header": _without_headers,
    "wrong line numbers": _lines_off,
    "index line of others": lambda text: text.replace("index ", "index 00"),
    "other prefixes": lambda text: text.replace("a/pkg", "i/pkg").replace("b/pkg", "w/pkg"),
    "time stamps": lambda text: re.sub(
        r"(?m)^((?:---|\+\+\+) .*)$", r"\1\t2024-05-01 10:00:00.123456789 +0200", _without_headers(text)
    ),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "counts off": _counts_off,
    "counts off in a fence": lambda text: f"```diff\n{_counts_off(text)}```\n",
    "counts off in a mail": lambda text: f"{_counts_off(text)}-- \n2.39.5\n",
    "no prefix": lambda text: text.replace("a/pkg", "pkg").replace("b/pkg", "pkg"),
    "no prefix and no git header": lambda text: _without_headers(text).replace("a/pkg", "pkg").replace("b/pkg", "pkg"),
    "blank context lines without their blank": lambda text: re.sub(r"(?m)^ $", "", text),
    "trailing white space cut and stripped": lambda text: re.sub(r"(?m)[ \t]+$", "", text).strip(),
    "tabs for blanks": lambda text: re.sub(r"(?m)^ {5}", " \t", text),
    "svn": lambda text: "Index: pkg/core.py\n" + "=" * 67 + "\n" + _without_headers(text),
    "far context made up": lambda text: text.replace("\n def other():", "\n def others():"),
    "a byte order mark": lambda text: "\ufeff" + text,
}
STRICT = {"as git has it", "no last newline", "fence", "prose", "mail", "no git header", "wrong line numbers",
          "a byte order mark", "index line of others", "other prefixes", "time stamps", "svn", "blank context lines without their blank"}  # fmt: skip


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_change_in_every_dress(tree: Path, tmp_path: Path, dress: str) -> None:
    patch = DRESSES[dress](_fast(tmp_path))
    notes = apply_patch(tree, patch)
    print(dress, notes)
    assert _read(tree) == {name: text.encode() for name, text in sorted({**FILES, "pkg/core.py": NEW}.items())}
    assert (not notes) == (dress in STRICT), notes
