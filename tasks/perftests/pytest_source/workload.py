"""A test of the repository as a workload: setup prepares its fixtures, experiment calls its body again and again.

The text of this file is the first part of generated scripts and runs inside sandboxes: standard library and pytest
only, syntax of Python 3.8. What follows it in a script fills in the names in capitals.

Collection, import and fixtures happen in setup. The body is called as pytest calls it, in the same thread, without
hooks around it; a unittest.TestCase runs with its setUp and tearDown. The test's files are written to a new folder and
collected from there, so a change of the arm's own tests, conftest files or pytest settings cannot reach them.
"""

from __future__ import annotations

import importlib
import inspect
import os
import tempfile
from collections.abc import Callable
from typing import Any

FILES: dict[str, str] = {}  # path in the suite -> text
PACKAGES: list[
    tuple[str, str]
] = []  # (dotted name, path in the suite) of packages of the project that have tests inside them
NODEID = ""
NUMBER = 1  # calls of the test's body in one experiment

_open: dict[str, Any] = {}


def setup(seed: int) -> Callable[[], str]:
    """Fresh fixtures for the test; pytest itself is started once per process. The seed changes nothing in the test."""
    if "item" not in _open:
        items, problems = collect([NODEID])
        if len(items) != 1:
            raise RuntimeError(f"pytest collects {len(items)} tests for {NODEID}: {problems}")
        _open["item"] = items[0]
    return prepare(_open["item"])


def experiment(body: Callable[[], str]) -> dict[str, str]:
    """Call the body NUMBER times. A failure of the test is a result, not an error of the script."""
    outcome = ""
    for _ in range(NUMBER):
        outcome = body()
        if outcome != "passed":
            break
    return {"test": NODEID, "outcome": outcome}


def check_equivalence(reference: dict[str, str], candidate: dict[str, str]) -> None:
    """The test passes on both sides."""
    assert reference["outcome"] == "passed", reference["outcome"]
    assert candidate["outcome"] == "passed", candidate["outcome"]


def collect(nodeids: list[str]) -> tuple[list[Any], str]:
    """Write the suite and let pytest collect. Returns the items and what went wrong, as text."""
    import pytest
    from _pytest.config import _prepareconfig

    root = os.path.realpath(tempfile.mkdtemp(prefix="suite-"))
    for path, text in FILES.items():
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    with open(os.path.join(root, "pytest.ini"), "w") as file:
        file.write("[pytest]\n")
    for name, path in PACKAGES:
        importlib.import_module(name).__path__.insert(0, os.path.join(root, path))
    problems: list[str] = []

    class Reports:
        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                problems.append(str(report.longrepr)[-1500:])

    options = ["-q", "-s", "--rootdir", root, "-c", os.path.join(root, "pytest.ini"), "-p", "no:cacheprovider"]
    options += ["-p", "no:xdist", "-p", "no:randomly", "--continue-on-collection-errors"]
    # the steps of pytest.main up to collection; afterwards the items are ours to run
    config = _prepareconfig(options + [os.path.join(root, nodeid) for nodeid in nodeids], [Reports()])
    config._do_configure()
    session = pytest.Session.from_config(config)
    config.hook.pytest_sessionstart(session=session)
    try:
        config.hook.pytest_collection(session=session)
    except (pytest.UsageError, session.Failed, session.Interrupted) as error:
        problems.append(str(error)[-1500:])
    return list(getattr(session, "items", ())), "; ".join(problems)


def prepare(item: Any) -> Callable[[], str]:
    """End what ran before, set up the item's fixtures, and return a function that runs its body once."""
    from _pytest.runner import CallInfo

    if "running" in _open:
        running = _open.pop("running")
        running.ihook.pytest_runtest_teardown(item=running, nextitem=None)
    _open["running"] = item
    if hasattr(item, "_initrequest"):
        item._initrequest()
    done = CallInfo.from_call(lambda: item.ihook.pytest_runtest_setup(item=item), when="setup")
    item.ihook.pytest_runtest_makereport(item=item, call=done)  # tmp_path and others look for the report later
    if done.excinfo is not None:
        raise done.excinfo.value
    _open["call"] = _call_of(item)

    def body() -> str:
        item.__dict__.pop("_excinfo", None)
        try:
            _open["call"]()  # of the latest fixtures: those of an earlier setup are gone
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # pytest.fail and pytest.skip are no Exceptions
            return f"{type(error).__name__}: {error}"[:500]
        if getattr(item, "_excinfo", None):  # unittest keeps the failure instead of raising it
            return str(item._excinfo[0].exconly())[:500]
        return "passed"

    return body


def _call_of(item: Any) -> Callable[[], Any]:
    import pytest
    from _pytest.unittest import TestCaseFunction

    function: Any = getattr(item, "obj", None)
    plain = isinstance(item, pytest.Function) and not isinstance(item, TestCaseFunction)
    if not plain or inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        return item.runtest
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    return lambda: function(**arguments)
