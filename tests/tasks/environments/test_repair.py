"""What is tried when an environment does not come about: diagnoses, the next step, and a whole ladder for real."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from configs.models import Config, EnvironmentConfig, RepositoryConfig, SandboxConfig
from storage.store import Store
from storage.tables import EnvironmentTry
from tasks.environments.models import EnvironmentWanted
from tasks.environments.pythons.choosing import Choice
from tasks.environments.repair.diagnosis import diagnose
from tasks.environments.repair.ladder import climb
from tasks.environments.repair.rungs import Step, next_for_tests, next_step
from tasks.environments.repair.tries import settings_in_use
from tests.interpreters import PROMISED, interpreters
from tests.tasks.environments.test_environments_building import PYPROJECT, backend

VERSIONS = [Choice(9, "named"), Choice(8, "near")]
EARLY, LATE = datetime(2018, 3, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "kind", "telling"),
    [
        ("x.c:3:10: fatal error: libxml/tree.h: No such file or directory", "system", "apt-get install libxml2-dev"),
        ("x.c:3:10: fatal error: odd_thing.h: No such file or directory", "system", "apt-file search odd_thing.h"),
        ("/usr/bin/ld: cannot find -lgsl: No such file", "system", "libgsl-dev"),
        ("sh: 1: gfortran: not found", "system", "apt-get install gfortran"),
        ("ModuleNotFoundError: No module named 'Cython.Build'", "build_module", "cython"),
        ("ImportError: Building from VCS needs Cython. Install Cython", "build_module", "cython"),
        ("a.h:683:53: error: 'PyMethod_GET_CLASS' was not declared in this scope", "python2", "Python 2"),
        ("ModuleNotFoundError: No module named 'declared_one'", "build_module", "declared-one"),
        ("ModuleNotFoundError: No module named 'sneaky'", "build_module", "sneaky?"),
        ("SyntaxError: Missing parentheses in call to 'print'", "python2", "Python 2"),
        ("ImportError: cannot import name 'Mapping' from 'collections'", "too_new", "older"),
        ("error: longintrepr.h: No such file", "too_new", "older"),
        ("because the current Python version (3.8.1) does not satisfy Python>=3.9", "python", "environment.python"),
        ("error: No solution found when resolving dependencies", "no_release", "environment.as_of"),
        ("a.c:1:10: fatal error: deep.h: No such file or directory", "submodule", "lib/deep"),
        ("  File 'x.py', line 3\nSyntaxError: invalid syntax", "too_new", "older"),
        ("cc: error: lib/deep/a.c: No such file or directory", "submodule", "lib/deep"),
        ("out of time after 900 s", "time", "build_timeout_s"),
        ("something else", "unknown", "log"),
    ],
)
def test_a_failure_is_named_with_what_a_person_would_do(said: str, kind: str, telling: str) -> None:
    found = diagnose(said, known=["declared-one"], submodules=["lib/deep"])
    assert (found.kind, telling in found.advice) == (kind, True), found


def test_a_name_in_an_error_is_installed_only_if_the_commit_declares_it_or_all_know_it() -> None:
    said = "ModuleNotFoundError: No module named 'sneaky'"
    assert diagnose(said, importing=True).subject == ""
    assert diagnose(said, known=["sneaky"], importing=True).subject == "sneaky"
    assert diagnose(said, own=["sneaky"], importing=True).kind == "python2"


def _next(said: str, date: datetime, importing: bool = False, **settings: Any) -> Step | None:
    step = Step(EnvironmentConfig(python="3.10", **settings), "first")
    found = diagnose(said, submodules=["deep"] if "deep" in said else [], importing=importing)
    return next_step(step, found, VERSIONS, date, ["deep"] if "deep" in said else [])


def test_one_thing_is_changed_at_a_time() -> None:
    cython = _next("No module named 'Cython'", EARLY)
    assert cython is not None
    assert cython.settings.build_packages == ["cython<3"]
    again = _next("No module named 'Cython'", EARLY, build_packages=["cython"])
    assert again is not None
    assert again.settings.as_of is not None
    assert str(again.settings.as_of) == "2022-08-30"
    yaml = _next("No module named 'yaml'", LATE, importing=True)
    assert yaml is not None
    assert yaml.settings.packages == ["pyyaml"]
    fetched = _next("deep/x.c: No such file or directory", LATE)
    assert fetched is not None
    assert "git submodule update" in fetched.settings.setup_commands[0]
    older = _next("module 'collections' has no attribute 'Mapping'", LATE, importing=True)
    assert older is not None
    assert older.settings.python == "3.9"
    other = _next("what is this", LATE)
    assert other is not None
    assert other.settings.python == "3.9"
    assert other.settings.as_of is None
    assert _next("fatal error: zlib.h: No such file or directory", LATE) is None
    assert _next("SyntaxError: Missing parentheses in call to 'print'", LATE) is None


def test_tests_that_a_pytest_does_not_take_get_an_older_one() -> None:
    found = diagnose("ModuleNotFoundError: No module named 'mock'", importing=True)
    step = Step(EnvironmentConfig(python="3.9", test_packages=["pytest<8", "mocked"]), "first")
    mock = next_for_tests(step, found, "", VERSIONS)
    assert mock is not None
    assert mock.settings.test_packages == ["pytest<8", "mocked", "mock"]
    older = next_for_tests(step, diagnose("x"), "conftest.py: unknown hook", VERSIONS)
    assert older is not None
    assert older.settings.test_packages == ["pytest<7", "mocked"]
    last = Step(older.settings.model_copy(update={"test_packages": ["pytest<5"]}), "last")
    assert next_for_tests(last, diagnose("x"), "conftest.py: unknown hook", VERSIONS) is None


@pytest.mark.timeout(120)
def test_a_commit_gets_an_older_python_when_the_newest_that_it_names_does_not_import_it(
    history: Any, tmp_path: Path
) -> None:
    if not {PROMISED, (3, 10)} <= interpreters().keys():
        pytest.skip("two Pythons are needed, 3.8 and 3.10")
    files = {
        "python/src/tinylib/__init__.py": "from collections import Mapping\n",
        "python/pyproject.toml": PYPROJECT + 'requires-python = ">=3.8,<3.11,!=3.9.*"\n',
        "python/backend.py": backend(["src/tinylib/__init__.py"]),
        "tox.ini": "[tox]\nenvlist = py38,py310\n",
    }
    base = history.commit(files)
    head = history.commit({"python/src/tinylib/more.py": "def work(): return 1\n"})
    asked = EnvironmentConfig()
    climbed = climb(EnvironmentWanted(history.repository, asked, SandboxConfig(), base, head, LATE), history.work)
    assert climbed.built.environment is not None, climbed.built.reason
    assert [(row.python, row.outcome, row.kind, row.chosen) for row in climbed.tries] == [
        ("3.10", "failed", "too_new", False), ("3.8", "ok", "", True),
    ]  # fmt: skip
    assert climbed.tries[0].reason.startswith("base commit does not import: ImportError: cannot import name 'Mapping'")
    assert {row.project for row in climbed.tries} == {"python"}
    assert climbed.built.settings is not None
    store = Store(tmp_path / "store")
    store.append(climbed.tries)
    config = Config(repository=RepositoryConfig(name=history.repository.name, url=history.repository.url))
    assert settings_in_use(store, config) == {head: climbed.built.settings}
    assert store.rows(EnvironmentTry, number=2)[0].settings == climbed.built.settings.model_dump_json()
    # as an instance says it, nothing is chosen any more, and the same environment serves
    again = climb(
        EnvironmentWanted(history.repository, climbed.built.settings, SandboxConfig(), base, head, LATE), history.work
    )
    assert (again.tries, again.built.environment) == ([], climbed.built.environment)


@pytest.mark.timeout(120)
def test_nothing_is_left_untold_when_no_way_leads_to_an_environment(history: Any) -> None:
    files = {
        "src/tinylib/__init__.py": "def f(): print 'old'\n",
        "pyproject.toml": PYPROJECT,
        "backend.py": backend(["src/tinylib/__init__.py"]),
    }
    sha = history.commit(files)
    climbed = climb(
        EnvironmentWanted(history.repository, EnvironmentConfig(), SandboxConfig(), sha, sha, LATE), history.work
    )
    assert climbed.built.environment is None
    assert [(row.outcome, row.kind, row.fault) for row in climbed.tries] == [("failed", "python2", False)]
    assert "what to do: leave it out" in climbed.built.reason
    early = history.commit(
        {"src/tinylib/__init__.py": "from collections import NeverThere\n"}, committer="2018-01-01T12:00:00Z"
    )
    climbed = climb(
        EnvironmentWanted(history.repository, EnvironmentConfig(), SandboxConfig(), early, early, EARLY), history.work
    )
    assert "only Python 2 or one older than 3.8" in climbed.built.reason
    old = history.commit({"pyproject.toml": PYPROJECT + 'requires-python = "<3.8"\n'})
    climbed = climb(
        EnvironmentWanted(history.repository, EnvironmentConfig(), SandboxConfig(), old, old, LATE), history.work
    )
    assert climbed.tries == []
    assert "accepts no Python from 3.8 on" in climbed.built.reason
    assert not climbed.built.fault
