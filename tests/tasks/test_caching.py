"""A cache key holds the code that decides a result, of its stage and of what that uses, and no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks import caching

TASKS = Path(__file__).parents[2] / "tasks"
PACKAGES = ("agents", "apis", "environments", "llm", "mining", "perftests", "reporting", "sandbox", "scoring",
            "statements", "suites", "timing")  # fmt: skip
SHARED = {
    "code/clones.py": {"agents", "environments", "mining"},
    "code/cython.py": {"apis", "mining"},
    "code/diffs.py": {"agents", "apis", "environments", "perftests", "statements"},
    "code/edits.py": {"agents", "apis", "perftests", "statements"},
    "code/leaks.py": {"agents", "statements"},
    "code/native.py": {"apis", "mining", "perftests"},
    "code/paths.py": {"agents", "environments", "llm", "mining", "perftests", "suites"},
    "code/python.py": {"apis", "environments", "mining", "perftests", "suites", "timing"},
    "git_environment.py": {"agents", "apis", "environments", "mining"},
    "interpreters.py": {"agents", "environments"},
    "own_pytest.py": {"agents", "suites"},
    "registry.py": {"agents", "environments"},
    "telling.py": {"timing"},
}
"""Module that packages share -> the packages whose results may change when it does."""
NOBODY = {"caching.py", "decorators.py", "housekeeping.py", "progress.py", "versioning.py", "withdrawing.py"}
"""Modules beside the packages from which no stage's result follows."""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The product's `tasks`, to be changed."""
    shutil.copytree(TASKS, tmp_path / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(caching, "_TASKS", tmp_path / "tasks")
    return tmp_path / "tasks"


def versions() -> dict[str, str]:
    return {package: caching.code_version.__wrapped__(package) for package in PACKAGES}


def test_who_notices_a_comment(copy: Path) -> None:
    """One in each package, and one in each module that they share."""
    noticed_by = SHARED | {name: set[str]() for name in NOBODY}
    own = {next((copy / package).rglob("models.py"), copy / package / "stage.py"): {package} for package in PACKAGES}
    expected = own | {copy / name: noticed for name, noticed in noticed_by.items()}
    modules = {path for folder in (copy, copy / "code") for path in folder.glob("*.py") if path.stem != "__init__"}
    assert {copy / name for name in noticed_by} == modules, "a module that packages share says who uses it"
    before = versions()
    for path, noticed in expected.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "# A comment.\n", encoding="utf-8")
        after = versions()
        path.write_text(text, encoding="utf-8")
        assert {name for name in PACKAGES if after[name] != before[name]} == noticed, path
    assert versions() == before


def test_every_way_to_import_is_seen() -> None:
    text = (
        "from tasks.code import (\n    diffs,\n    paths as p,\n)\nfrom tasks.code.leaks import A\n"
        "import tasks.registry\ndef f():\n    from tasks import telling, mining  # and\n"
        "from tasks.mining.git import clone\nfrom tasks.progress import told\n"
    )
    assert sorted(caching._used(text)) == [
        "code/diffs.py",
        "code/leaks.py",
        "code/paths.py",
        "registry.py",
        "telling.py",
    ]


def test_only_services_are_named_beside_a_stage() -> None:
    with pytest.raises(ValueError, match="not a service package"):
        caching.cache_key("timing", "time_arms", services=("mining",))
