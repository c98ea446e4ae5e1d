"""Which Python a commit is tried on: what its files say, and its day."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tasks.environments.builds.images import choices_of_images
from tasks.environments.pythons.choosing import Choice, choices
from tasks.environments.pythons.evidence import evidence_of
from tasks.sandbox.docker.engine import connect

POETRY = b'[tool.poetry.dependencies]\npython = "^3.9"\n'
TRAVIS = b'language: python\npython:\n  - "2.7"\n  - 3.6\n  - 3.8\nenv:\n  - CI=3.10\n'
CLASSIFIERS = b"Programming Language :: Python :: 3.8\nProgramming Language :: Python :: 3.9"
WORKFLOW = b"""
jobs:
  test:
    strategy:
      matrix:
        python-version: ["3.8", "3.9", "3.10"]
    steps:
      - uses: pypa/cibuildwheel@v3.2
"""


def _order(files: dict[str, bytes], day: str, folder: str = ".") -> list[str]:
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return [choice.version for choice in choices(evidence_of(files, folder), moment)]


@pytest.mark.parametrize(
    ("files", "day", "first"),
    [
        ({}, "2021-05-01", "3.9"),  # 3.9 is half a year old
        ({}, "2021-01-01", "3.8"),  # 3.9 has been there for three months: few wheels
        ({}, "2012-01-01", "3.8"),
        ({"setup.py": CLASSIFIERS}, "2020-10-20", "3.9"),
        ({"setup.py": b"'Programming Language :: Python :: 3.12'"}, "2022-05-01", "3.10"),  # not there yet on that day
        ({"setup.cfg": b"[options]\npython_requires = >=3.8,<3.10\n"}, "2024-01-01", "3.9"),
        ({"pyproject.toml": b'[project]\nrequires-python = ">=3.10"\n'}, "2021-10-10", "3.10"),
        ({"pyproject.toml": POETRY}, "2020-11-01", "3.9"),
        ({".travis.yml": TRAVIS}, "2022-01-01", "3.8"),
        ({".github/workflows/ci.yml": WORKFLOW}, "2023-08-01", "3.10"),
        ({"tox.ini": b"[tox]\nenvlist = py{27,36,39}, py38-lint\n"}, "2023-08-01", "3.9"),
        ({"python/setup.py": b"python_requires='>=3.8, <3.9'"}, "2023-08-01", "3.8"),
    ],
)  # fmt: skip
def test_the_python_of_the_day_is_the_newest_that_the_commit_names(
    files: dict[str, bytes], day: str, first: str
) -> None:
    assert _order(files, day, "python" if "python/setup.py" in files else ".")[0] == first


def test_neighbours_follow_older_ones_first_and_only_accepted_ones() -> None:
    files = {"setup.py": b"python_requires='>=3.9'", "tox.ini": b"[tox]\nenvlist = py39,py311\n"}
    assert _order(files, "2023-12-01") == ["3.11", "3.10", "3.9", "3.12"]


def test_a_commit_that_accepts_no_python_with_which_anything_is_timed_has_no_choice() -> None:
    assert _order({"setup.cfg": b"[options]\npython_requires = >=2.7,<3.8\n"}, "2019-01-01") == []


@pytest.mark.parametrize("broken", [b"[project\n", b"\xff\xfe", b"[tox]\n[tox]\nenvlist", b"python_requires='>>3'"])
def test_a_broken_file_says_nothing(broken: bytes) -> None:
    files = dict.fromkeys(["pyproject.toml", "setup.cfg", "setup.py", "tox.ini", ".travis.yml"], broken)
    assert _order(files, "2021-05-01")[0] == "3.9"


@pytest.mark.docker
def test_in_docker_the_images_that_are_there_decide(docker_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [Choice(minor, "") for minor in (12, 10, 8)]
    client = connect()
    client.api.tag(docker_image, "isobench-test-pythons", "3.10")
    try:
        monkeypatch.setenv("ISOBENCH_IMAGE", "isobench-test-pythons:{python}")
        assert [choice.minor for choice in choices_of_images(wanted, "unused")] == [10]
        # none is there: the first stays, so that its name is in the error
        assert [choice.minor for choice in choices_of_images(wanted[:1], "unused")] == [12]
        monkeypatch.setenv("ISOBENCH_IMAGE", "isobench-test-pythons:3.10")
        assert [choice.minor for choice in choices_of_images(wanted, "unused")] == [10]
        monkeypatch.delenv("ISOBENCH_IMAGE")
        assert choices_of_images(wanted, "somebody/image") == []  # its Python is not known
    finally:
        client.api.remove_image("isobench-test-pythons:3.10")
        client.close()
