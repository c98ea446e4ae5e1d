"""Functions touched, by parser; changes that do nothing."""

import ast
import difflib

import pytest

from tasks.mining.functions.changed import TouchedFile, changed_lines, touched
from tasks.mining.functions.focus import Deceived, Layout


def compare(before: str, after: str) -> TouchedFile:
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/f.py", "b/f.py")
    patch = "diff --git a/f.py b/f.py\n" + "".join(line if line.endswith("\n") else line + "\n" for line in lines)
    return touched(before.encode(), after.encode(), patch.encode())


BASE = '''import os

LIMIT = 3


class Tree:
    """A tree."""

    kind = "plain"

    @property
    def size(self):
        return 1

    @size.setter
    def size(self, value):
        self.value = value

    def walk(self, node):
        """Walk."""
        def inner():
            return 2
        return inner()


if os.name:
    def helper(x):
        # a note
        return x


def last(a: int) -> int:
    return a
'''


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("return a", "return a + 1", ["last"]),
        ("            return 2", "            return 3", ["Tree.walk"]),
        ("self.value = value", "self.values = value", ["Tree.size"]),
        ("        return x", "        return -x", ["helper"]),
        ("def last", "@cache\ndef last", ["last"]),
        ("        return 1\n", "", ["Tree.size"]),
        ("def last", "def final", ["final"]),
        ("LIMIT = 3", "LIMIT = 4", ["<module>"]),
        ('kind = "plain"', 'kind = "fancy"', ["Tree"]),
        ("class Tree:", "@register\nclass Tree:", ["Tree"]),
        ("if os.name:", "if os.sep:", ["<module>"]),
        ("class Tree:", "class Tree(dict):", ["Tree"]),
        ("import os", "import sys", []),
    ],
)
def test_names(old: str, new: str, names: list[str]) -> None:
    assert old in BASE
    after = BASE.replace(old, new)
    if old == "        return 1\n":
        after = after.replace("def size(self):\n", "def size(self): pass\n")
    assert compare(BASE, after).functions == names


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import os", "import os\nimport sys"),
        ('"""A tree."""', '"""An old tree."""'),
        ('        """Walk."""\n', ""),
        ("        # a note\n", ""),
        ("(a: int) -> int", "(a: str) -> str"),
        ("    return a\n", "    return (a)  # brackets\n"),
        ("import os", "import os\n__all__ = ['last']"),
    ],
)
def test_cosmetic(old: str, new: str) -> None:
    assert old in BASE
    found = compare(BASE, BASE.replace(old, new))
    assert found.cosmetic
    assert found.functions == []


@pytest.mark.parametrize(
    ("old", "new"), [("LIMIT = 3", "LIMIT = 4"), ("(dict)", ""), ("return a", "import os\n    return a")]
)
def test_not_cosmetic(old: str, new: str) -> None:
    before = BASE.replace("class Tree:", "class Tree(dict):")
    assert not compare(before, before.replace(old, new)).cosmetic


def test_order_of_definitions_is_cosmetic() -> None:
    one, two = "def a():\n    return 1\n", "def b():\n    return 2\n"
    assert compare(one + two, two + one).cosmetic


def test_only_new() -> None:
    assert compare(BASE, BASE + "\n\ndef more():\n    return 1\n").only_new
    assert compare(BASE, BASE + "\n\nclass More:\n    limit = 1\n\n    def get(self):\n        return 1\n").only_new
    assert not compare(BASE, BASE.replace("return a", "return -a") + "\n\ndef more():\n    return 1\n").only_new
    assert not compare(BASE, BASE.replace("LIMIT = 3", "LIMIT = 4") + "\n\ndef more():\n    return 1\n").only_new


def test_new_and_removed_files() -> None:
    assert compare("", "def a():\n    pass\n").functions == ["a"]
    assert compare("def a():\n    pass\n", "").functions == []


def test_python_2_falls_back_to_indentation() -> None:
    before = "class A:\n    def f(self):\n        print 1\n    def g(self):\n        print 2\nprint 3\n"
    found = compare(before, before.replace("print 2", "print 4"))
    assert found.functions == ["A.g"]
    assert not found.parsed
    assert not found.cosmetic
    assert compare(before, before.replace("print 3", "print 4")).functions == []


PLAIN = 'def plain_{n}(x):\n    """Says {n}."""\n    return x + {n}\n\n\n'
ODD = 'def odd_{n}(x):\n    """Says {n}.\n\nAt the left edge.\n    """\n    return x * {n}\n\n\n'
FILLER = "".join(text.replace("{n}", str(n)) for n in range(300) for text in (PLAIN, ODD))


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("return a", "return a + 1", ["last"]),
        ("            return 2", "            return 3", ["Tree.walk"]),
        ("LIMIT = 3", "LIMIT = 4", ["<module>"]),
        ("def last", "@cache\ndef last", ["last"]),
        ('kind = "plain"', 'kind = "fancy"', ["Tree"]),
    ],
)
def test_long_files_are_read_in_part_with_the_same_result(old: str, new: str, names: list[str]) -> None:
    before = f"{FILLER}{BASE}\n\n{FILLER}"
    line = before[: before.index(old)].count("\n") + 1
    layout = Layout(before.encode())
    short = layout.reduced(layout.names({line}))
    assert short.count(b"\n") == before.count("\n")
    assert 0 < len(ast.parse(short).body) <= 3
    assert compare(before, before.replace(old, new)).functions == names


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        # what looks like the start of something is text, or goes on with what stands before
        ("one\n", "two\n", ["f"]),
        ("\nx, 1)", "\nx, 2)", ["odd"]),
        ("- item", "- other", []),
        ("TEXT = 1", "TEXT = 2", ["Kind"]),
        ("return 7", "return 8", ["Kind.decorated"]),
        ("return 9", "return 10", ["late"]),
        ("class Flat: x = 1", "class Flat: x = 2", ["Flat"]),
    ],
)
def test_layout_that_deceives_gives_the_same_result(old: str, new: str, names: list[str]) -> None:
    before = TRICKY
    assert before.count(old) == 1
    assert compare(before, before.replace(old, new)).functions == names


TRICKY = '''"""Module.

def f(): not code
"""
def f():
    text = """
one
"""
    return text


def odd(x):
    return f(x,
x, 1)


class Kind(
    object,
):
    """What it is for.

    - item
    """

    TEXT = 1

    @decorator(
        3,
    )
    @staticmethod
    def decorated():
        return 7


if True:
    def late():
        return 9
else:
    def late():
        return 0


class Flat: x = 1
'''


def test_an_open_string_is_not_guessed_at() -> None:
    with pytest.raises(Deceived):
        Layout(b'x = 1  # a """ in a comment\n')


def test_changed_lines_without_a_final_line_feed() -> None:
    patch = b"--- a/f\n+++ b/f\n@@ -2,2 +2,3 @@ def f():\n a\n-b\n\\ No newline at end of file\n+c\n+d\n"
    assert changed_lines(patch) == ({3}, {3, 4})
