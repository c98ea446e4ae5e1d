"""Patches in the dresses that people, models and harnesses give them: what each changes, and what is said of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.texts import storable
from tasks.environments.patches.patching import apply_patch
from tasks.environments.trees import TreeError

OLD = """import os


def pick(items):
    seen = []
    for item in items:
        seen.append(item)
    return seen


def other():
    return 1
"""
NEW = OLD.replace(OLD[OLD.index("    seen = ") : OLD.index("\n\n\ndef other")], "    return list(items)")
FILES = {"pkg/core.py": OLD, "pkg/with space.py": "X = 1\n", "pkg/é.py": "Y = 1\n", "README.md": "x\n"}
HEADER = "--- a/x.py\n+++ b/x.py\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of files, without a repository around it."""
    return _write(tmp_path / "tree", FILES)


def _write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def _read(folder: Path) -> dict[str, str]:
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: found[name].read_bytes().decode("utf-8", "surrogateescape") for name in sorted(found)}


def _diff(tmp_path: Path, after: dict[str, Any], *options: str) -> str:
    """What git prints for a change of the tree's files to these."""
    _write(tmp_path / "sides" / "a", FILES)
    _write(tmp_path / "sides" / "b", {**FILES, **after})
    command = ["git", "diff", "--no-index", "--no-prefix", *options, "a", "b"]
    return subprocess.run(command, cwd=tmp_path / "sides", capture_output=True, check=False).stdout.decode()


def _after(**changed: str) -> dict[str, str]:
    return dict(sorted({**FILES, "pkg/core.py": NEW, **changed}.items()))


def _counts_off(text: str) -> str:
    return re.sub(r"@@ -(\d+),\d+ \+(\d+),\d+ @@", r"@@ -\1,90 +\2,70 @@", text)


def _bare(text: str) -> str:
    return text[text.index("--- a/") :]


def _mailed(text: str) -> str:
    head = "From 1a2b Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH] Fast\n\n---\n"
    return f"{head} pkg/core.py | 5 +-\n 1 file changed\n\n{text}-- \n2.39.5\n\n"


STRICT: dict[str, Callable[[str], str]] = {
    "as git has it": lambda text: text,
    "no last newline": lambda text: text.rstrip("\n"),
    "fence": lambda text: f"```diff\n{text}```\n",
    "prose": lambda text: f"Here is the patch:\n\n{text}\nHope this helps!\n",
    "mail": _mailed,
    "no git header": _bare,
    "svn": lambda text: "Index: pkg/core.py\n" + "=" * 67 + "\n" + _bare(text),
    "wrong line numbers": lambda text: re.sub(r"@@ -\d+,(\d+) \+\d+,(\d+) @@", r"@@ -300,\1 +300,\2 @@", text),
    "other prefixes": lambda text: text.replace("a/pkg", "i/pkg").replace("b/pkg", "w/pkg"),
    "time stamps": lambda text: re.sub(r"(?m)^((?:---|\+\+\+) .*)$", r"\1\t2024-05-01 10:00:00.12 +0200", _bare(text)),
    "a byte order mark": lambda text: "\ufeff" + text,
    "blank context lines without their blank": lambda text: re.sub(r"(?m)^ $", "", text),
}
FORGIVEN: dict[str, Callable[[str], str]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "counts off": _counts_off,
    "counts off in a fence": lambda text: f"```diff\n{_counts_off(text)}```\n",
    "counts off in a mail": lambda text: _mailed(_counts_off(text)),
    "no prefix": lambda text: text.replace("a/pkg", "pkg").replace("b/pkg", "pkg"),
    "no prefix and no git header": lambda text: _bare(text).replace("a/pkg", "pkg").replace("b/pkg", "pkg"),
    "nothing but a git header": lambda text: re.sub(r"(?m)^(index|---|\+\+\+) .*\n", "", text),
    "tabs for blanks": lambda text: re.sub(r"(?m)^-    ", "-\t", text),
    "white space at line ends": lambda text: text.replace(" def other():\n", " def other():  \n"),
    "far context made up": lambda text: text.replace("\n def other():", "\n def others():"),
    "colours of a terminal": lambda text: re.sub(r"(?m)^(.*)$", "\x1b[1m\\1\x1b[m", text),
    "indented": lambda text: re.sub(r"(?m)^", "    ", text),
    "a compiled file besides": lambda text: (
        "diff --git a/p/c.pyc b/p/c.pyc\nnew file mode 100644\nindex 0000000..1111111\n"
        f"Binary files /dev/null and b/p/c.pyc differ\n{text}"
    ),
}


@pytest.mark.parametrize("dress", [*STRICT, *FORGIVEN])
def test_the_same_change_in_every_dress(tree: Path, tmp_path: Path, dress: str) -> None:
    patch = _diff(tmp_path, {"pkg/core.py": NEW})
    notes = apply_patch(tree, {**STRICT, **FORGIVEN}[dress](patch))
    assert _read(tree) == _after()
    assert bool(notes) == (dress in FORGIVEN), notes


def test_changes_that_are_no_hunks_of_plain_names(tree: Path, tmp_path: Path) -> None:
    after = {"pkg/core.py": NEW, "pkg/with space.py": "X = 2\n", "pkg/é.py": "Y = 2\n", "data.bin": bytes(range(256))}
    mode = "diff --git a/pkg/é.py b/pkg/é.py\nold mode 100644\nnew mode 100755\n"
    submodule = (
        "diff --git a/sub b/sub\nnew file mode 160000\nindex 0000000..1111111\n--- /dev/null\n+++ b/sub\n"
        f"@@ -0,0 +1 @@\n+Subproject commit {'1' * 40}\n"
    )
    rename = "diff --git a/README.md b/doc/x.md\nsimilarity index 100%\nrename from README.md\nrename to doc/x.md\n"
    patch = _diff(tmp_path, after, "--binary") + mode + submodule + rename
    assert apply_patch(tree, patch) == []
    files = _read(tree)
    assert (files["pkg/core.py"], files["pkg/é.py"], files["pkg/with space.py"]) == (NEW, "Y = 2\n", "X = 2\n")
    assert (files["doc/x.md"], "README.md" in files) == ("x\n", False)
    assert (tree / "data.bin").read_bytes() == bytes(range(256))
    assert (tree / "pkg/é.py").stat().st_mode & 0o111
    # the same behind something that git does not read: what is kept is kept whole
    again = _write(tree.parent / "again", FILES)
    notes = apply_patch(again, _counts_off(patch))
    assert _read(again) == files
    assert [note.split(":")[0] for note in notes][:1] == [
        "lines of a hunk counted anew, since its header counts others"
    ]


@pytest.mark.parametrize("end", ["", "    ", "\t"])
@pytest.mark.parametrize("position", ["last", "middle"])
def test_blank_lines_that_a_harness_stripped(tmp_path: Path, end: str, position: str) -> None:
    tree = _write(tmp_path / "tree", {"x.py": f"a\nb\n{end}\n{end}\nc\n", "y.py": "one\ntwo\n"})
    patch = f"{HEADER}@@ -1,4 +1,4 @@\n a\n-b\n+B\n {end}\n {end}\n".strip()
    if position == "middle":
        patch += "\n" + HEADER.replace("x.py", "y.py") + "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    notes = apply_patch(tree, patch)
    assert notes[0] == "the last 2 lines of a hunk were stripped"
    assert _read(tree) == {
        "x.py": f"a\nB\n{end}\n{end}\nc\n",
        "y.py": "one\n2\n" if position == "middle" else "one\ntwo\n",
    }


def test_line_ends_are_those_of_each_file(tmp_path: Path) -> None:
    tree = _write(tmp_path / "tree", {"x.py": "a\r\nb\r\n", "y.py": "a\nb\n"})
    patch = "".join(f"--- a/{name}\n+++ b/{name}\n@@ -1,2 +1,2 @@\n-a\n+A\n b\n" for name in ("x.py", "y.py"))
    new = "--- /dev/null\n+++ b/z.py\n@@ -0,0 +1 @@\n+z\n"
    assert apply_patch(tree, patch + new) == ["line ends as the files have them"]
    assert _read(tree) == {"x.py": "A\r\nb\r\n", "y.py": "A\nb\n", "z.py": "z\n"}


@pytest.mark.parametrize(
    ("before", "body", "after"),
    [
        ("1\n2\n3\n4\n", "@@ -2 +2 @@\n-2\n+two\n@@ -3,0 +4 @@\n+new\n", "1\ntwo\n3\nnew\n4\n"),  # git diff -U0
        ("a\nb", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n", "A\nb"),  # the marker of a missing newline was lost
    ],
)
def test_hunks_that_show_less_than_git_wants(tmp_path: Path, before: str, body: str, after: str) -> None:
    tree = _write(tmp_path / "tree", {"x.py": before})
    assert len(apply_patch(tree, HEADER + body)) == 1
    assert _read(tree) == {"x.py": after}


def test_bytes_that_are_not_utf8_are_those_bytes(tmp_path: Path) -> None:
    tree = _write(tmp_path / "tree", {"x.py": b"# caf\xe9\nA = 1\n"})
    patch = f"{HEADER}@@ -1,2 +1,2 @@\n # caf\udce9\n-A = 1\n+A = '\udcff'\n"
    apply_patch(tree, storable(patch))
    assert (tree / "x.py").read_bytes() == b"# caf\xe9\nA = '\xff'\n"


def test_lines_that_no_header_counts_are_said(tmp_path: Path) -> None:
    tree = _write(tmp_path / "tree", {"x.py": "a\nb\n"})
    (note,) = apply_patch(tree, f"{HEADER}@@ -1,2 +1,2 @@\n-a\n+A\n b\n+c\n")
    assert note == "1 lines passed over that no header counts, at line 7"
    assert _read(tree) == {"x.py": "A\nb\n"}


HUNK = "@@ -1,2 +1,2 @@\n-a\n+A\n b\n"
MADE = "new file mode 100644\n--- /dev/null\n+++ {0}\n@@ -0,0 +1 @@\n+x\n"


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("I could not do it.", "no unified diff"),
        ("a\0b", "no unified diff"),
        ("2c2\n< b\n---\n> B\n", "no unified diff"),
        ("2c\nB\n.\n!touch hacked\n", "no unified diff"),  # a script for ed, which GNU patch of old ran
        (HEADER + HUNK.replace("-a", "-z"), "patch does not apply"),
        (HEADER + HUNK.replace("-a", "-a &lt; c"), "patch does not apply"),
        ("diff --git a/x.py b/x.py\n" + MADE.format("b/x.py"), "already exists"),  # and no b/x.py instead
        ("diff --git q/x.py q/x.py\n" + MADE.format("q/x.py"), "already exists"),  # and no x.py instead
        ("diff --git ../o.py ../o.py\n" + MADE.format("../o.py"), "invalid path"),
        ("diff --git .git/hooks/x .git/hooks/x\n" + MADE.format(".git/hooks/x"), "invalid path"),
        ("diff --git a/.GIT/x b/.GIT/x\n" + MADE.format("b/.GIT/x"), "invalid path"),
        (HEADER.replace("x.py", "../o.py") + _counts_off(HUNK), "corrupt patch"),
        ("diff --git a/way/x b/way/x\n" + MADE.format("b/way/x"), "beyond a symbolic link"),
        (("diff --git a/way/x b/way/x\n" + MADE.format("b/way/x")).replace("+1 @@", "+1,3 @@"), "corrupt patch"),
    ],
)  # fmt: skip
def test_patches_that_nobody_can_mean_change_nothing(tmp_path: Path, patch: str, said: str) -> None:
    outside = _write(tmp_path / "outside", {"kept": "x"})
    tree = _write(tmp_path / "tree", {"x.py": "a\nb\n", "q/x.py": "1\n"})
    (tree / "way").symlink_to(outside)
    with pytest.raises(TreeError, match=said):
        apply_patch(tree, patch)
    assert _read(tree) == {"q/x.py": "1\n", "x.py": "a\nb\n"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "tree"]
    assert _read(outside) == {"kept": "x"}


SOURCES = ["../outside/kept", "OUT/kept", "./../outside/kept", '"\\056\\056/outside/kept"', '"OUT/kept"', "way/kept",
           "q/../../outside/kept", ".git/config"]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "dress",
    [lambda text: text, lambda text: text.replace("\n", "\r\n"), lambda text: re.sub("(?m)^", "  ", text)],
    ids=["plain", "CRLF", "indented"],
)
def test_no_file_of_the_host_is_copied_into_an_arm(tmp_path: Path, source: str, dress: Callable[[str], str]) -> None:
    """Git looks at every name of a patch but the one that it copies from."""
    outside = _write(tmp_path / "outside", {"kept": "secret\n"})
    tree = _write(tmp_path / "tree", {"x.py": "a\nb\n", "q/y.py": "1\n"})
    (tree / "way").symlink_to(outside)
    source = source.replace("OUT", str(outside))
    copy = f"diff --git a/x.py b/stolen\nsimilarity index 100%\ncopy from {source}\ncopy to stolen\n"
    with pytest.raises(TreeError):
        apply_patch(tree, dress(copy))
    assert _read(tree) == {"q/y.py": "1\n", "x.py": "a\nb\n"}


def test_copies_within_the_tree_are_made(tmp_path: Path) -> None:
    tree = _write(tmp_path / "tree", {"a b/é.py": "1\n"})
    name = '"a b/\\303\\251.py"'
    apply_patch(tree, f"diff --git a/x b/x\nsimilarity index 100%\ncopy from {name}\ncopy to x\n")
    assert _read(tree) == {"a b/é.py": "1\n", "x": "1\n"}


def test_attributes_do_not_decide_what_is_written(tmp_path: Path) -> None:
    attributes = "*.py text eol=crlf ident filter=touch working-tree-encoding=UTF-16\n"
    tree = _write(tmp_path / "tree", {".gitattributes": attributes, "x.py": "a\nb # $Id$\n"})
    assert apply_patch(tree, f"{HEADER}@@ -1,2 +1,2 @@\n-a\n+A\n b # $Id$\n") == []
    assert _read(tree)["x.py"] == "A\nb # $Id$\n"
