"""Patches that came by mail, as JSON or HTML, from other folders, or without what git wants to see of a new file."""

from __future__ import annotations

import base64
import html
import json
import quopri
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.environments.patches.patching import apply_patch
from tasks.environments.trees import TreeError

CORE = "import os\n\n\ndef pick(a):\n    if a < 1 and a > 0:\n        return 'é'\n    return a\n"
FASTER = CORE.replace("a < 1 and a > 0", "0 < a < 1  # & safe").replace("return a\n", "return int(a)\n")
FILES = {"pkg/core.py": CORE, "core.py": "X = 1\n"}
AFTER = {**FILES, "pkg/core.py": FASTER, "pkg/new.py": "N = 1\n"}
MADE = "@@ -0,0 +1 @@\n+N = 1\n"
CHANGED = "@@ -1 +1 @@\n-X = 1\n+X = 2\n"


def _write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def _read(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_bytes().decode() for path in folder.rglob("*") if path.is_file()}


def _diff(tmp_path: Path, before: dict[str, str], after: dict[str, str], *options: str) -> str:
    """What git prints for the change."""
    _write(tmp_path / "sides" / "a", before)
    _write(tmp_path / "sides" / "b", after)
    command = ["git", "diff", "--no-index", "--no-prefix", *options, "a", "b"]
    return subprocess.run(command, cwd=tmp_path / "sides", capture_output=True, check=False).stdout.decode()


def _mail(encoding: str, body: bytes) -> str:
    head = "From 1a2b Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH] x\nMIME-Version: 1.0\n"
    return f"{head}Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: {encoding}\n\n{body.decode()}"


def _below(folder: str) -> Callable[[str], str]:
    return lambda text: text.replace("a/pkg", f"a/{folder}/pkg").replace("b/pkg", f"b/{folder}/pkg")


WRAPPED: dict[str, Callable[[str], str]] = {
    "a byte order mark and no git header": lambda text: "\ufeff" + text[text.index("--- a/") :],
    "a mail in base64": lambda text: _mail("base64", base64.encodebytes(text.encode())),
    "a mail in quoted-printable": lambda text: _mail("quoted-printable", quopri.encodestring(text.encode())),
    "the same with CRLF": lambda text: _mail("quoted-printable", quopri.encodestring(text.encode())).replace(
        "\n", "\r\n"
    ),
    "JSON": json.dumps,
    "JSON twice, without its quotes": lambda text: json.dumps(json.dumps(text))[1:-1],
    "JSON without its quotes": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "HTML": html.escape,
    "an answer to a mail": lambda text: "".join(f"> {line}\n" for line in text.split("\n")),
    "old line ends": lambda text: text.replace("\n", "\r"),
    "twice": lambda text: text + text,
    "a folder above": _below("testbed"),
    "two folders above, with two slashes": _below("/work/testbed"),
    "no mode of the new file": lambda text: text.replace("new file mode 100644\n", ""),
    "no /dev/null": lambda text: text.replace("--- /dev/null", "--- a/pkg/new.py"),
    "neither": lambda text: text.replace("new file mode 100644\n", "").replace("--- /dev/null", "--- a/pkg/new.py"),
    "no line for lines, CRLF": lambda text: text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_wrappings_and_names(tmp_path: Path, wrapping: str) -> None:
    lines = ("-U0",) if wrapping.startswith("no line") else ()
    patch = WRAPPED[wrapping](_diff(tmp_path, FILES, AFTER, *lines))
    tree = _write(tmp_path / "tree", FILES)
    notes = apply_patch(tree, patch)
    found = _read(tree)
    found["pkg/new.py"] = found["pkg/new.py"].replace("\r", "")  # what a new file's line ends were nobody can tell
    assert found == AFTER
    assert bool(notes) != wrapping.startswith("a byte order mark"), notes


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        # without prefixes, where the name without its first folder is that of another file
        ("--- pkg/core.py\n+++ pkg/core.py\n" + CHANGED, "pkg/core.py"),
        ("diff --git b/core.py b/core.py\n--- b/core.py\n+++ b/core.py\n" + CHANGED, "b/core.py"),
        ("--- b/core.py\n+++ b/core.py\n" + CHANGED, "b/core.py"),
        ("Index: pkg/new.py\n=====\n--- pkg/new.py\t(revision 0)\n+++ pkg/new.py\t(new)\n" + MADE, "pkg/new.py"),
        ("--- /dev/null\n+++ pkg/new.py\n" + MADE, "pkg/new.py"),
        ("diff --git b/new.py b/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/new.py\n" + MADE, "b/new.py"),
        ("diff --git far/new.py far/new.py\n--- /dev/null\n+++ far/new.py\n" + MADE, "far/new.py"),
        # with prefixes
        ("--- a/core.py\n+++ b/core.py\n" + CHANGED, "core.py"),
        ("--- a/core.py\n+++ a/core.py\n" + CHANGED, "core.py"),
        ("--- old/core.py\t2024-05-01 10:00:00 +0200\n+++ new/core.py\t2024-05-01 10:00:00\n" + CHANGED, "core.py"),
        ("--- /dev/null\n+++ b/new.py\n" + MADE, "new.py"),
        ("diff --git a/new.py a/new.py\n--- /dev/null\n+++ a/new.py\n" + MADE, "new.py"),
        ("--- /repo/pkg/core.py.orig\n+++ /repo/pkg/core.py\n" + CHANGED, ""),
        ("--- /repo/pkg/core.py\n+++ /repo/pkg/core.py\n" + CHANGED, "pkg/core.py"),
        ("--- ./x/pkg/core.py\n+++ ./y/pkg/core.py\n" + CHANGED, "pkg/core.py"),
    ],
)  # fmt: skip
def test_which_file_a_name_means(tmp_path: Path, patch: str, changed: str) -> None:
    before = dict.fromkeys(("core.py", "pkg/core.py", "b/core.py"), "X = 1\n")
    tree = _write(tmp_path / "tree", before)
    if changed:
        apply_patch(tree, patch)
    else:
        with pytest.raises(TreeError):
            apply_patch(tree, patch)
    found = _read(tree)
    assert [name for name in sorted(found) if before.get(name) != found[name]] == ([changed] if changed else [])


TABS = "def f(x):\n\tif x:   \n\t\ty = 1\t\n\t\tz = 2\n\n    \n\treturn x  \n\n\ndef g():\n    return 1\n"
DEEPER = TABS.replace("\t\tz = 2\n", "\t\tz = 2\n\t\tfor _ in x:\n\t\t\tq = 3\n")
SPOILED: dict[str, Callable[[str], str]] = {
    "tabs expanded": lambda text: text.expandtabs(8),
    "tabs expanded to four": lambda text: text.expandtabs(4),
    "tabs expanded before": lambda text: text.replace("\t", "    "),
    "blanks at line ends cut": lambda text: "\n".join(line.rstrip() for line in text.split("\n")),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_white_space_is_that_of_the_file(tmp_path: Path, spoiled: str) -> None:
    patch = SPOILED[spoiled](_diff(tmp_path, {"x.py": TABS}, {"x.py": DEEPER}))
    tree = _write(tmp_path / "tree", {"x.py": TABS})
    (note,) = apply_patch(tree, patch)
    assert note.startswith("white space")
    assert _read(tree) == {"x.py": DEEPER}
    compile((tree / "x.py").read_text(), "x.py", "exec")


def test_indentation_that_could_be_two_things_is_not_guessed(tmp_path: Path) -> None:
    """Blanks that stand for a tab here and for blanks there: the added line's are neither's."""
    tree = _write(tmp_path / "tree", {"x.py": "def f():\n\ta = 1\ndef g():\n        b = 1\n"})
    hunk = "@@ -1,4 +1,5 @@\n def f():\n     a = 1\n def g():\n     b = 1\n+    c = 1\n"
    patch = f"--- a/x.py\n+++ b/x.py\n{hunk}"
    with pytest.raises(TreeError):
        apply_patch(tree, patch)
    assert _read(tree)["x.py"].count("\n") == 4


def test_line_ends_within_one_file_and_a_mark_at_its_start(tmp_path: Path) -> None:
    before = "\ufeffa\r\nb\nc\r\nd\ne\r\nf\n"
    tree = _write(tmp_path / "tree", {"x.py": before})
    apply_patch(tree, "--- a/x.py\n+++ b/x.py\n@@ -1,5 +1,6 @@\n a\n b\n c\n-d\n+D\n+D\n e\n")
    assert _read(tree) == {"x.py": before.replace("d\n", "D\nD\n")}


def test_what_is_no_diff_is_said_so(tmp_path: Path) -> None:
    tree = _write(tmp_path / "tree", FILES)
    for text in (" pkg/core.py | 4 ++--\n 1 file changed\n", json.dumps("sorry\nno"), "> no\n", "&lt;no&gt;\n"):
        with pytest.raises(TreeError, match="no unified diff is in it"):
            apply_patch(tree, text)
    assert _read(tree) == FILES
