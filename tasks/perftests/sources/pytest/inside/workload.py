"""A test of the repository as a workload: setup prepares its fixtures, experiment calls its body again and again.

The text of this file is a part of generated scripts and runs inside sandboxes: standard library and pytest only, syntax
of Python 3.8. It follows those of `values.py` and `observing.py`, whose names it uses. What comes after it in a script
fills in the names in capitals.

Collection, import and fixtures happen in setup. The body is called as pytest calls it, in the same thread, without
hooks around it; the method of a unittest.TestCase with setUp and tearDown, without unittest's bookkeeping. The test's
files are written to a new folder and collected from there, so a change of the arm's own tests, conftest files or pytest
settings cannot reach them. The result is what the test saw of the changed functions (PLACES): a test that passes says
only that nothing which it asserts is wrong.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import tempfile
import unittest
from collections.abc import Callable
from typing import Any

if "KEEPER" not in globals():  # in a sandbox these texts are one module
    from tasks.perftests.inside.observing import KEEPER, Keeper, chosen_calls, observe_imports, told_once
    from tasks.perftests.inside.values import differs

FILES: dict[str, str] = {}  # path in the suite -> text
PACKAGES: list[tuple[str, str]] = []  # packages of the project with tests inside: dotted name, path in the suite
EXAMPLES = 20  # that hypothesis draws in one call at most
NODEID = ""
NUMBER = 1  # calls of the test's body in one experiment
PLACES: list[str] = []  # what is looked at, as `observing.py` names it

_open: dict[str, Any] = {}


class Outcome:
    """What the calls of an experiment came to. Turned into text by store_result, when the clock has stopped."""

    def __init__(self, outcome: str, seen: list[list[Any]]) -> None:
        self.outcome, self.seen = outcome, seen


def setup(seed: int) -> str:
    """Fresh fixtures for the test; pytest itself is started once per process. The seed changes nothing in the test,
    unless hypothesis draws its examples: then all calls of an experiment have those of the seed.

    What is returned is the same for every seed: it tells the driver that the workload is, too.
    """
    if "item" not in _open:
        items, problems = collect([NODEID], PLACES, KEEPER)
        if len(items) != 1:
            raise RuntimeError(f"pytest collects {len(items)} tests for {NODEID}: {problems}")
        _open["item"] = items[0]
    _open["body"] = prepare(_open["item"], seed)
    _open["chosen"] = chosen_calls(NUMBER, seed)
    return NODEID


def experiment(state: str) -> Outcome:
    """Call the body NUMBER times. A failure of the test is a result, not an error of the script."""
    body, chosen, outcome, seen = _open["body"], _open["chosen"], "", []
    for number in range(NUMBER):
        if number in chosen:
            outcome = KEEPER.run(body)
            seen.append(KEEPER.take())
        else:
            outcome = body()
        if outcome != "passed":
            break
    return Outcome(outcome, seen)


def store_result(result: Outcome, path: str) -> None:
    """The test's name, whether it passed, and what it saw."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"test": NODEID, "outcome": result.outcome, "seen": told_once(result.seen)}, file)


def load_result(path: str) -> Any:
    """What store_result wrote."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def check_equivalence(reference: Any, candidate: Any) -> None:
    """The test passes on both sides and sees the same; floats to six digits."""
    for result in (reference, candidate):
        assert result["test"] == NODEID, result["test"]
        assert result["outcome"] == "passed", result["outcome"]
    difference = differs(reference["seen"], candidate["seen"], "seen")
    assert not difference, difference


class Benchmark:
    """The fixture of pytest-benchmark, without its repetitions: those are for whoever times the whole test."""

    enabled, disabled = False, True

    def __init__(self) -> None:
        self.extra_info: dict[str, Any] = {}
        self.stats: Any = None
        self.group = self.name = None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it once."""
        return function(*args, **kwargs)

    def pedantic(
        self, target: Callable[..., Any], args: Any = (), kwargs: Any = None, setup: Any = None, **ignored: Any
    ) -> Any:
        """Call it once, with what its setup gives, if that gives anything."""
        args, kwargs = (setup() if setup is not None else None) or (args, kwargs)
        return target(*args, **(kwargs or {}))


def collect(nodeids: list[str], places: list[str] | None, keeper: Keeper) -> tuple[list[Any], str]:
    """Write the suite and let pytest collect. Returns the items and what went wrong, as text.

    `nodeids` may leave out parameters; one that pytest does not find is left out, too. `places` (None: all) are
    observed by the keeper.
    """
    import pytest
    from _pytest.config import _prepareconfig

    root = os.path.realpath(tempfile.mkdtemp(prefix="suite-"))
    for path, text in FILES.items():
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    with open(os.path.join(root, "pytest.ini"), "w") as file:
        file.write("[pytest]\npython_functions = test* main bench*\n")
    observe_imports(root, places, keeper)
    for name, path in PACKAGES:
        importlib.import_module(name).__path__.insert(0, os.path.join(root, path))
    problems: list[str] = []

    class Plugin:
        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                problems.append(str(report.longrepr)[-1500:])

        @pytest.fixture
        def benchmark(self) -> Benchmark:
            return Benchmark()

    # asserts as they stand: rewritten ones take time of their own, and what rewrites them in an old pytest fails on a
    # newer Python
    options = [
        "-q",
        "-s",
        "--rootdir",
        root,
        "-c",
        os.path.join(root, "pytest.ini"),
        "-p",
        "no:cacheprovider",
        "--assert=plain",
    ]
    for plugin in ("xdist", "randomly", "timeout", "benchmark", "codspeed"):
        options += ["-p", f"no:{plugin}"]
    options += ["--continue-on-collection-errors"]
    # the steps of pytest.main up to collection; afterwards the items are ours to run
    modules = sorted({nodeid.partition("::")[0] for nodeid in nodeids})
    config = _prepareconfig(options + [os.path.join(root, module) for module in modules], [Plugin()])
    config._do_configure()
    session = getattr(pytest.Session, "from_config", pytest.Session)(config)  # before pytest 5.4: the class itself
    config.hook.pytest_sessionstart(session=session)
    try:
        config.hook.pytest_collection(session=session)
    except (pytest.UsageError, session.Failed, session.Interrupted) as error:
        problems.append(str(error)[-1500:])
    wanted = set(nodeids)
    items = [item for item in getattr(session, "items", ()) if {item.nodeid, item.nodeid.partition("[")[0]} & wanted]
    return items, "; ".join(problems)


def prepare(item: Any, seed: int = 0) -> Callable[[], str]:
    """End what ran before, set up the item's fixtures, and return a function that runs its body once."""
    from _pytest.runner import CallInfo

    fix_examples(getattr(item, "obj", None), seed)
    if "running" in _open:
        running = _open.pop("running")
        running.ihook.pytest_runtest_teardown(item=running, nextitem=None)
    _open["running"] = item
    if getattr(item, "_obj", item) is None and getattr(item, "_instance", item) is None:
        del item._instance  # pytest 8.2.1 and 8.2.2 leave a torn down unittest method without the object to bind it to
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


def fix_examples(test: Any, seed: int) -> None:
    """Let a test of hypothesis draw the same examples at every call: those of the seed, with no memory of earlier runs
    and no limit of time."""
    if not hasattr(test, "hypothesis"):
        return
    from hypothesis import HealthCheck, Phase, settings

    test = getattr(test, "__func__", test)
    given: Any = getattr(test, "_hypothesis_internal_use_settings", None) or settings.default
    checks = [check for check in HealthCheck if check.name not in ("return_value", "not_a_test_method")]
    test._hypothesis_internal_use_seed = seed
    test._hypothesis_internal_use_settings = settings(
        given, database=None, deadline=None, derandomize=False, suppress_health_check=checks,
        phases=(Phase.explicit, Phase.generate), max_examples=min(given.max_examples, EXAMPLES),
    )  # fmt: skip


def _run_awaited(item: Any, case: Any) -> None:
    """A method of unittest.IsolatedAsyncioTestCase, which closes the runner of its loop and keeps it."""
    case._asyncioRunner = None
    item.runtest()


def _call_of(item: Any) -> Callable[[], Any]:
    """The test's body without what pytest and unittest put around it, where that is a plain function or method."""
    import pytest

    function: Any = getattr(item, "obj", None)
    case = getattr(function, "__self__", None)
    if hasattr(case, "_asyncioRunner"):
        return lambda: _run_awaited(item, case)
    if not isinstance(item, pytest.Function) or inspect.iscoroutinefunction(function):
        return item.runtest
    if not isinstance(case, unittest.TestCase):
        arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
        return item.runtest if inspect.isgeneratorfunction(function) else lambda: function(**arguments)
    if type(case).run is not unittest.TestCase.run:
        return item.runtest  # a framework's own class, with its own ideas

    def run_case() -> None:
        case.setUp()
        try:
            function()
        finally:
            case.tearDown()
            case.doCleanups()

    return run_case
