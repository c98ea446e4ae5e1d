"""Where the project lies, and what its tests ask for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tasks.environments.projects.finding import project_folder
from tasks.environments.projects.requirements import declared_for_tests

SETUP = b"from setuptools import setup\nsetup(name='x')\n"


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        ({"setup.py": SETUP, "python/setup.py": SETUP}, "."),
        ({"python/setup.py": SETUP, "docs/setup.py": SETUP, "examples/a/setup.py": SETUP}, "python"),
        ({"core/setup.py": SETUP, "thing/setup.py": SETUP}, "thing"),  # named like the repository
        ({"a/pyproject.toml": b"[tool.ruff]\n", "b/pyproject.toml": b"[project]\nname = 'b'\n"}, "b"),
        ({"pyproject.toml": b"[tool.ruff]\n", "lang/py/setup.py": SETUP}, "lang/py"),
        ({"tests/data/setup.py": SETUP}, "."),
    ],
)
def test_the_project_is_at_the_top_or_in_the_sub_folder_that_is_meant(files: dict[str, bytes], folder: str) -> None:
    tracked = [*files, *(f"core/m{number}.py" for number in range(9))]
    assert project_folder(files, tracked, "someone/thing") == folder


def test_tests_get_what_is_declared_for_them_and_a_pytest_that_starts() -> None:
    files = {
        "pyproject.toml": b"""
[project.optional-dependencies]
test = ["freezegun>=0.3", "pluggy==0.3.1", "black==19.3b0"]
docs = ["sphinx"]
[dependency-groups]
dev = [{include-group = "more"}, "pytest==3.1"]
more = ["mock"]
""",
        "setup.py": b"setup(tests_require=['pretend'], extras_require={'tests': ['pytest-cov==2.5']})",
        "setup.cfg": b"[options.extras_require]\ntesting =\n    attrs\n    ruff\n",
        "tox.ini": b"[testenv]\ndeps =\n    py27: six\n    -r other.txt\n    {[base]deps}\n",
        "requirements-test.txt": b"# all\n-e .\nresponses==1.0  # pinned\nsomething @ file:///etc\n",
    }
    found = declared_for_tests(files, ".", datetime(2018, 1, 1, tzinfo=UTC))
    assert found == [
        "mock", "pytest<8", "freezegun>=0.3", "pluggy", "pretend", "pytest-cov", "attrs", "responses==1.0", "six",
    ]  # fmt: skip
