"""Checkouts whose links and .pth files lead out of them: nothing of this machine gets into a script or a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.perftests.coverage import executable
from tasks.perftests.sources.asv.files import find_suite
from tasks.perftests.sources.call_examples import find_usage
from tasks.perftests.sources.pytest.candidates import find_candidates
from tasks.perftests.sources.pytest.suite import build_suite
from tasks.perftests.sources.signatures import describe_apis
from tasks.perftests.targets import parse_file

SECRET = """
def merge(secret):
    "Of this machine."


def test_merge():
    merge(1)


def time_merge():
    merge(1)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Everything that is read of a checkout is a link to a file, or lies in a folder that is one."""
    outside = tmp_path / "outside"
    (outside / "tests").mkdir(parents=True)
    for name in ("secret.py", "tests/test_secret.py", "tests/conftest.py", "README.md"):
        (outside / name).write_text(SECRET)
    folder = tmp_path / "checkout"
    (folder / "tests").mkdir(parents=True)
    (folder / "kit").mkdir()
    (folder / "kit" / "__init__.py").write_text("")
    (folder / "kit" / "secret.py").symlink_to(outside / "secret.py")
    (folder / "tests" / "test_own.py").write_text("import helper\n\n\ndef test_merge():\n    helper.merge(1)\n")
    (folder / "tests" / "conftest.py").symlink_to(outside / "tests" / "conftest.py")
    (folder / "tests" / "helper.py").symlink_to(outside / "secret.py")
    (folder / "tests" / "test_linked.py").symlink_to(outside / "tests" / "test_secret.py")
    (folder / "linked").symlink_to(outside / "tests")
    (folder / "benchmarks").symlink_to(outside)
    (folder / "README.md").symlink_to(outside / "README.md")
    (folder / "asv.conf.json").write_text(f'{{"benchmark_dir": "{outside}"}}')
    (folder / "more.pth").write_text(f"{outside}\n")
    return folder


def test_scripts_carry_only_files_of_the_checkout(checkout: Path) -> None:
    found = find_candidates(checkout, ["kit/core.py::merge"], ["kit.merge"], [])
    assert {item.path for item in found} == {"tests/test_own.py"}
    suite = build_suite(checkout, {"tests/test_own.py": None})
    assert list(suite.files) == ["tests/test_own.py"]
    assert find_suite(checkout) is None


def test_prompts_show_only_files_of_the_checkout(checkout: Path) -> None:
    described = describe_apis(["kit.secret.merge", "secret.merge"], checkout, ["."])
    assert described == ["kit.secret.merge", "secret.merge"]
    assert ["helper.merge(1)" in text for text in find_usage(["kit.merge"], checkout)] == [True]


def test_lines_are_those_of_the_checkout(checkout: Path) -> None:
    assert parse_file(checkout, "kit/secret.py") is None
    assert parse_file(checkout, "../outside/secret.py") is None
    assert executable(checkout, "linked/test_secret.py") == set()
