"""Whose file is whose: a patch's code, the suite's tests; and tests that are made to fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tasks.suites.inside.canaries import count, spoil
from tasks.suites.tree import added_modules, is_of_suite, make_tree
from tests.tasks.suites.conftest import write


@pytest.mark.parametrize(
    ("path", "suites"),
    [
        ("tests/helpers.py", True),
        ("pkg/tests/data.json", True),
        ("pkg/test_it.py", True),
        ("conftest.py", True),
        ("pkg/conftest.py", True),
        ("setup.cfg", True),
        ("examples/a.json", True),
        ("tests", True),
        ("pkg/core.py", False),
        ("pkg/testing/tools.py", False),
        ("pkg/examples/a.py", False),
        ("README.md", False),
    ],
)
def test_which_files_are_the_suites(path: str, suites: bool) -> None:
    assert is_of_suite(path) == suites


def test_a_tree_has_the_arms_code_and_the_suites_tests(tmp_path: Path) -> None:
    write(tmp_path / "suite", {"pkg/a.py": "human", "pkg/tests/test_a.py": "ours", "pytest.ini": "ours"})
    write(tmp_path / "arm", {"pkg/a.py": "patched", "pkg/tests/test_a.py": "theirs", "conftest.py": "theirs"})
    write(tmp_path / "arm", {"pkg/tests/conftest.py": "theirs", "sitecustomize.py": "", "pkg/__pycache__/a.pyc": ""})
    (tmp_path / "arm/out").symlink_to("/etc")
    (tmp_path / "arm/pkg/b.py").symlink_to("a.py")
    make_tree(tmp_path / "arm", tmp_path / "suite", tmp_path / "tree")
    found = {path.relative_to(tmp_path / "tree").as_posix(): path for path in (tmp_path / "tree").rglob("*")}
    files = {name: path.read_text() for name, path in found.items() if path.is_file()}
    assert files == {
        "pkg/a.py": "patched", "pkg/b.py": "patched", "pkg/tests/test_a.py": "ours", "pytest.ini": "ours",
    }  # fmt: skip


@pytest.mark.parametrize("how", ["link", "file"])
def test_what_stands_in_the_way_of_tests_is_left_out(tmp_path: Path, how: str) -> None:
    write(tmp_path / "suite", {"pkg/tests/test_a.py": "ours"})
    write(tmp_path / "arm", {"other/tests/test_a.py": "theirs", "other/__init__.py": ""})
    if how == "link":
        (tmp_path / "arm/pkg").symlink_to("other")
    else:
        (tmp_path / "arm/pkg").write_text("")
    make_tree(tmp_path / "arm", tmp_path / "suite", tmp_path / "tree")
    assert (tmp_path / "tree/pkg/tests/test_a.py").read_text() == "ours"
    assert not (tmp_path / "tree/pkg").is_symlink()


def test_modules_that_only_the_arm_has(tmp_path: Path) -> None:
    write(tmp_path / "suite", {"src/pkg/__init__.py": "", "numpy.py": ""})
    write(tmp_path / "arm", {"src/pkg/__init__.py": "", "src/numpy/__init__.py": "", "hypothesis.py": ""})
    assert added_modules(tmp_path / "arm", tmp_path / "suite", ("src",)) == ["numpy"]


TESTS = """
import unittest

def test_equal(): assert 1 + 1 == 2
def test_text(): assert "a" + "b" == "ab"
def test_list(): assert [1, 2] == list(range(1, 3))
def test_true(): assert "a" in "abc"
def test_nested():
    for n in range(2):
        with open("/dev/null"):
            assert n * 0 == 0
def test_raises():
    case = unittest.TestCase()
    with case.assertRaises(ValueError):
        int("x")
class Case:
    def test_case(self): unittest.TestCase().assertEqual(len("ab"), 2)
    def test_not(self): unittest.TestCase().assertNotEqual(1, 2)
    def test_truth(self): unittest.TestCase().assertTrue(1 < 2, "less")
    def test_none(self): unittest.TestCase().assertIsNone(None)
    def test_called(self): unittest.TestCase().assertRaises(ValueError, int, "x")
    def test_nothing(self): pass
"""
NAMES = [
    f"{'Case.' if isinstance(node, ast.ClassDef) else ''}{function.name}"
    for node in ast.parse(TESTS).body
    if not isinstance(node, ast.Import)
    for function in (node.body if isinstance(node, ast.ClassDef) else [node])
    if isinstance(function, ast.FunctionDef)
]


@pytest.mark.parametrize("name", NAMES)
def test_a_spoiled_test_fails(name: str) -> None:
    tree = ast.parse(TESTS)
    for spoiled in (False, True):
        space: dict[str, object] = {}
        if spoiled:
            assert spoil(tree, name, 0) == (name != "Case.test_nothing")
        exec(compile(tree, "test", "exec"), space)
        holder, _, method = name.rpartition(".")
        function = getattr(space[holder](), method) if holder else space[method]  # type: ignore[operator]
        if not spoiled or name == "Case.test_nothing":
            function()  # type: ignore[operator]
        else:
            with pytest.raises((AssertionError, TypeError)):
                function()  # type: ignore[operator]


def test_what_is_not_there_cannot_be_spoiled() -> None:
    tree = ast.parse(TESTS)
    assert not spoil(tree, "test_equal", 1)
    assert not spoil(tree, "Absent.test_equal", 0)
    assert count(tree, "test_raises") == 1
