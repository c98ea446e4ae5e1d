"""What a commit's tests ask for, beside what the project does: extras, groups, tox, files of requirements."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from tasks.code.paths import is_test_path
from tasks.code.python import parse
from tasks.environments.pythons.evidence import parsed_toml, table

REQUIREMENT_FILES = re.compile(
    r"(.{0,200}/)?((test|tests|dev|testing)[-_]requirements|requirements[-_.]?(tests?|dev|testing|ci)|"
    r"requirements/(tests?|dev|testing|pytest|ci|test-deps))\.(txt|in|pip)"
)
_GROUPS = ("test", "tests", "testing", "tests-unit", "dev-test", "pytest", "dev", "develop")
_NOT_FOR_TESTS = re.compile(
    r"(black|ruff|flake8.*|mypy.*|sphinx.*|pre-commit|codecov|coveralls|tox.*|twine|wheel|setuptools.*|pip|pip-tools|"
    r"pylint|isort|bump.*|build|nox|cibuildwheel|pyperformance|check-manifest|furo|towncrier|types-.*|ipython|"
    r"jupyter.*|asv|codespell|auditwheel|virtualenv|invoke|interrogate|pyupgrade|meson.*|ninja|cmake|cogapp|"
    r"readme-renderer|mkdocs.*|matplotlib|msprime|bandit|safety|pyright|hatch|poetry|black\[.*\]|cython)"
)
TOOLS = (
    "pytest", "pluggy", "iniconfig", "exceptiongroup", "tomli", "py", "packaging", "pygments", "colorama", "attrs",
    "typing-extensions", "importlib-metadata", "zipp", "pytest-asyncio", "pytest-cov", "coverage", "pytest-mock",
    "pytest-xdist", "execnet", "pytest-timeout", "pytest-benchmark", "py-cpuinfo", "pytest-codspeed", "hypothesis",
    "sortedcontainers", "backports-asyncio-runner", "setuptools", "wheel",
)  # fmt: skip
"""What runs tests, and what that needs itself: no release of the day may start on the chosen Python, so the newest that
does is taken. What is installed already, as a dependency of the day, stays."""
_MOST = 40
# pytest's removals: nose-style setup in 8.0, marks on fixtures and old hooks' arguments in 9.0
_PYTESTS = (("2024-01-27", "pytest<8"), ("2025-11-08", "pytest<9"))


def pytest_of(date: datetime | None) -> str:
    """The newest pytest that takes what a commit's day took for granted; 7.4 at the oldest, which starts everywhere."""
    date = date or datetime.now(UTC)
    return next((bound for day, bound in _PYTESTS if date < datetime.fromisoformat(day).replace(tzinfo=UTC)), "pytest")


def has_tests(tracked: Iterable[str]) -> bool:
    """Whether a commit has tests in Python."""
    return any(path.endswith(".py") and is_test_path(path) for path in tracked)


def declared_for_tests(files: Mapping[str, bytes], folder: str, date: datetime | None) -> list[str]:
    """What a commit declares for its tests, without the tools that only check or publish, with a pytest that starts."""
    texts = {name: content.decode(errors="replace") for name, content in files.items()}
    inside = "" if folder == "." else f"{folder}/"
    found: dict[str, str] = {}
    for text in _declared(texts, inside):
        requirement = _read(text)
        if requirement is None or _NOT_FOR_TESTS.fullmatch(requirement.name.lower()):
            continue
        name = requirement.name.lower().replace("_", "-")
        # a pin of the day's pytest would keep it from starting
        found.setdefault(name, name if name in TOOLS or name.startswith("pytest") else str(requirement))
    found["pytest"] = pytest_of(date)
    return list(found.values())[:_MOST]


def _read(text: str) -> Requirement | None:
    try:
        requirement = Requirement(text.split(" #", maxsplit=1)[0].strip())
    except InvalidRequirement:
        return None
    return None if requirement.url else requirement


def _declared(texts: Mapping[str, str], inside: str) -> Iterator[str]:
    tables = parsed_toml(texts.get(f"{inside}pyproject.toml", ""))
    project = table(tables, "project")
    for groups in (table(tables, "dependency-groups"), table(project, "optional-dependencies")):
        yield from _of_groups(groups)
    poetry = table(tables, "tool", "poetry")
    for names in (table(poetry, "group", "test", "dependencies"), table(poetry, "dev-dependencies")):
        yield from names
    yield from _of_setup_py(texts.get(f"{inside}setup.py", ""))
    yield from _of_cfg(texts.get(f"{inside}setup.cfg", ""), "options.extras_require", _GROUPS)
    yield from _of_cfg(texts.get(f"{inside}setup.cfg", ""), "options", ("tests_require",))
    for name, text in texts.items():
        if REQUIREMENT_FILES.fullmatch(name):
            yield from (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "-")))
    for line in _of_cfg(texts.get(f"{inside}tox.ini", ""), "testenv", ("deps",)):
        if "{" not in line and not line.startswith("-"):
            yield line.rpartition(": ")[2]  # `py27: mock` is for some of its environments


def _of_groups(groups: Mapping[str, Any]) -> Iterator[str]:
    for name in _GROUPS:
        for item in _items(groups.get(name)):
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict) and isinstance(item.get("include-group"), str):
                yield from (more for more in _items(groups.get(item["include-group"])) if isinstance(more, str))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _of_cfg(text: str, section: str, names: Iterable[str]) -> Iterator[str]:
    config = configparser.RawConfigParser(strict=False)
    try:
        config.read_string(text)
    except configparser.Error:
        return
    for name in names:
        for line in config.get(section, name, fallback="").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.strip()


def _of_setup_py(text: str) -> Iterator[str]:
    try:
        tree = parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.keyword):
            continue
        if node.arg == "tests_require":
            yield from _strings(node.value)
        elif node.arg == "extras_require" and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _GROUPS:
                    yield from _strings(value)


def _strings(node: ast.AST) -> Iterator[str]:
    for inner in getattr(node, "elts", [node]):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield from inner.value.splitlines()


def build_requirements(declared: Mapping[str, bytes]) -> list[str]:
    """What the project's build system asks for; setuptools and wheel where it says nothing."""
    tables = parsed_toml(declared.get("pyproject.toml", b"").decode(errors="replace"))
    system = table(tables, "build-system")
    asked = [text for text in system.get("requires", []) if isinstance(text, str)]
    if str(system.get("build-backend", "setuptools")).startswith("setuptools"):
        named = {re.split(r"[^\w.-]", text, maxsplit=1)[0].lower() for text in asked}
        asked += [more for more in ("setuptools<70", "wheel") if more.split("<")[0] not in named]
    return asked
