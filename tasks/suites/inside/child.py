"""Runs tests in a process that imports the arm: one by one, as the process above asks for them.

Standard library and the environment's pytest only, syntax of Python 3.8. Whatever the arm's code does, it does here.
The process above (`server.py`) has imported pytest and all that tests are run with; it takes its own clocks, and it
asks for each test with a number drawn for it. A test has passed if its own function was called from here and returned,
and set-up and tear-down did, too. Outcomes are told over a pipe that nothing prints to.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import importlib.machinery
import inspect
import json
import os
import re
import sys
import threading
import types
import unittest
from typing import Any, Dict, List, Set

MAX_WHY = 300
WATCHED = (
    "_pytest.config", "_pytest.fixtures", "_pytest.main", "_pytest.nodes", "_pytest.outcomes", "_pytest.python",
    "_pytest.python_api", "_pytest.raises", "_pytest.recwarn", "_pytest.runner", "_pytest.skipping", "_pytest.unittest",
    "pluggy", "pluggy._callers", "pluggy._hooks", "pluggy._manager", "pytest", "unittest.case", "unittest.mock",
    "unittest.result", "builtins",
)  # fmt: skip
"""Modules whose functions decide what a test comes to."""
INI_FILES = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


class Integrity:
    """What runs and judges tests, as it was before anything of the arm was imported."""

    def __init__(self) -> None:
        self.before = self.look()

    def look(self) -> Dict[str, Any]:
        """Every function and method of the watched modules, with what it executes."""
        found: Dict[str, Any] = {}
        for name in WATCHED:
            module = sys.modules.get(name)
            if module is None:
                continue
            found[name] = module
            for key, value in list(vars(module).items()):
                if isinstance(value, type) and value.__module__ == name and name != "builtins":
                    for inner, member in list(vars(value).items()):
                        if not inner.startswith("_abc_") and inner not in ("__doc__", "__dict__", "__annotations__"):
                            self.note(found, name + "." + key + "." + inner, member)
                elif callable(value):
                    self.note(found, name + "." + key, value)
        return found

    def note(self, found: Dict[str, Any], label: str, value: Any) -> None:
        """A callable itself, and the code that it stands for."""
        function = value
        if isinstance(value, (staticmethod, classmethod)):
            function = value.__func__
        elif isinstance(value, property):
            function = value.fget
        elif not isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type)):
            return
        found[label] = (value, function.__code__ if isinstance(function, types.FunctionType) else None)

    def altered(self) -> List[str]:
        """What is no longer the same; what was added changes nothing."""
        now = self.look()
        missing = object()
        changed = []
        for label, value in self.before.items():
            new = now.get(label, missing)
            same = new is value or (isinstance(new, tuple) and new[0] is value[0] and new[1] is value[1])
            if not same:
                changed.append(label)
        if sys.gettrace() is not None:
            changed.append("sys.settrace")
        return sorted(changed)[:50]


class Calls:
    """Notes which changed functions are called."""

    def __init__(self, targets: Dict[str, Any], root: str) -> None:
        self.targets, self.root = targets, root + os.sep
        self.known: Dict[Any, Any] = {}
        self.seen: Set[str] = set()

    def on(self) -> None:
        """Begin."""
        if self.targets:
            threading.setprofile(self.event)
            sys.setprofile(self.event)

    def off(self) -> List[str]:
        """End, and say what was called."""
        if self.targets:
            sys.setprofile(None)
            threading.setprofile(None)
        found, self.seen = sorted(self.seen), set()
        return found

    def event(self, frame: Any, event: str, arg: Any) -> None:
        """sys.setprofile's callback."""
        if event == "call":
            code = frame.f_code
            if code not in self.known:
                self.known[code] = self.name_of(code)
            if self.known[code] is not None:
                self.seen.add(self.known[code])

    def name_of(self, code: Any) -> Any:
        """The changed function that a code object belongs to, or None."""
        path = os.path.realpath(code.co_filename)
        if path.startswith(self.root):
            for first, last, name in self.targets.get(path[len(self.root) :], ()):
                if first <= code.co_firstlineno <= last:
                    return name
        return None


def codes_within(code: Any) -> Any:
    """A code object and all that it holds."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_within(constant)


def take_over_loading(codes: Dict[str, Any]) -> None:
    """Modules of the suite are executed as the process above has read them."""
    loader: Any = importlib.machinery.SourceFileLoader
    original = loader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        code = codes.get(self.path)
        return original(self, fullname) if code is None else code

    loader.get_code = get_code


def import_mode(root: str) -> List[str]:
    """The one option of the project's own settings that decides whether its tests can be imported."""
    for name in INI_FILES:
        try:
            with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
                found = re.search(r"--import-mode[= ](importlib|append|prepend)", file.read(1 << 20))
        except OSError:
            continue
        if found:
            return ["--import-mode=" + found.group(1)]
    return []


class Runner:
    """One pytest session over some files."""

    def __init__(self, root: str, files: List[str], codes: Dict[str, Any], targets: Dict[str, Any]) -> None:
        self.root, self.files = root, files
        self.known = {code for module in codes.values() for code in codes_within(module)}
        self.paths = set(codes)
        self.calls = Calls(targets, root)
        self.items: Dict[str, Any] = {}
        self.errors: List[str] = []
        self.plugins: List[str] = []

    def pytest_collectreport(self, report: Any) -> None:
        """A hook of pytest: what could not be collected."""
        if report.failed:
            self.errors.append(f"{report.nodeid}: {str(report.longrepr).strip().splitlines()[-1]}"[:MAX_WHY])

    def collect(self, plugins: List[str], options: List[str]) -> Dict[str, Any]:
        """Start pytest, without the options of the project's own settings, and have it collect."""
        import pytest
        from _pytest.config import _prepareconfig

        arguments = ["-q", "-s", "--rootdir", self.root, "-o", "addopts=", "-o", "required_plugins=", "--assert=plain"]
        arguments += ["-p", "no:cacheprovider", "-p", "no:faulthandler", "--continue-on-collection-errors"]
        for plugin in plugins:
            arguments += ["-p", plugin]
        arguments += options + import_mode(self.root) + [os.path.join(self.root, file) for file in self.files]
        self.calls.on()
        try:
            config = _prepareconfig(arguments, [self])
            config._do_configure()
            session: Any = getattr(pytest.Session, "from_config", pytest.Session)(config)
            config.hook.pytest_sessionstart(session=session)
            try:
                config.hook.pytest_collection(session=session)
            except (pytest.UsageError, session.Failed, session.Interrupted) as error:
                self.errors.append(str(error)[-MAX_WHY:])
            for item in getattr(session, "items", None) or ():
                self.items.setdefault(item.nodeid, item)
        except BaseException as error:
            self.errors.append(f"{type(error).__name__}: {error}"[:MAX_WHY])
        return {"collected": list(self.items), "errors": self.errors[:20], "functions": self.calls.off()}

    def run(self, nodeid: str, following: str) -> Dict[str, Any]:
        """Run one test as pytest's own protocol does, but for who says what came of it."""
        from _pytest.runner import CallInfo

        item: Any = self.items[nodeid]
        called: List[str] = []
        own = self.put_between(item, called)
        outcome, why = "failed", ""
        self.calls.on()
        try:
            done = CallInfo.from_call(lambda: item.ihook.pytest_runtest_setup(item=item), when="setup")
            item.ihook.pytest_runtest_makereport(item=item, call=done)  # fixtures look for the report later
            if done.excinfo is not None:
                raise done.excinfo.value
            item.ihook.pytest_runtest_call(item=item)
            self.raise_kept(item)
            outcome = "passed" if called == ["called", "returned"] else "failed"
            why = "" if outcome == "passed" else "its function did not run to its end"
        except (KeyboardInterrupt, SystemExit) as error:
            why = type(error).__name__
        except BaseException as error:
            skipped = type(error).__name__ == "Skipped" or isinstance(error, unittest.SkipTest)
            outcome, why = "skipped" if skipped else "failed", f"{type(error).__name__}: {error}"
        try:
            item.ihook.pytest_runtest_teardown(item=item, nextitem=self.items.get(following))
        except BaseException as error:
            outcome, why = "failed", why or f"at tear-down: {type(error).__name__}: {error}"
        return {"outcome": outcome, "why": why[:MAX_WHY].rstrip(": "), "own": own, "functions": self.calls.off()}

    def raise_kept(self, item: Any) -> None:
        """Unittest keeps failures instead of raising them."""
        kept = getattr(item, "_excinfo", None)
        if kept:
            raise kept[0].value

    def put_between(self, item: Any, called: List[str]) -> bool:
        """Have what pytest calls as the test's body note that it ran; returns whether that is the suite's own code."""
        import pytest

        function: Any = getattr(item, "obj", None)
        plain = inspect.unwrap(function) if callable(function) else None
        code = getattr(getattr(plain, "__func__", plain), "__code__", None)
        own = code is not None and (code.co_filename not in self.paths or code in self.known)
        original = item.runtest
        case = getattr(function, "__self__", None)
        in_unittest = isinstance(case, unittest.TestCase) or type(item).__module__ == "_pytest.unittest"
        odd = inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)

        def body() -> None:
            called.append("called")
            if in_unittest:
                item.addSuccess = lambda testcase: called.append("returned")
                original()
                return
            if type(item) is pytest.Function and not odd:
                function(**{name: item.funcargs[name] for name in item._fixtureinfo.argnames})
            else:
                original()
            called.append("returned")

        item.runtest = body
        return own


def main(pipes: Any, root: str, paths: List[str], files: List[str], setup: Dict[str, Any]) -> None:
    """Serve one chunk of tests and end the process. `setup`: codes, targets, plugins, options."""
    read, write, leave, getpid = os.read, os.write, os._exit, os.getpid
    asked, told = pipes
    pid = getpid()
    loads, dumps = json.loads, json.dumps
    integrity = Integrity()
    take_over_loading(setup["codes"])
    sys.path[:] = paths + [path for path in sys.path if path not in ("", *paths)] + [root]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.chdir(root)
    runner = Runner(root, files, setup["codes"], setup["targets"])
    pending = b""

    def tell(answer: Any) -> None:
        if getpid() != pid:
            leave(1)  # a child of a test came back here
        data = dumps(answer).encode() + b"\n"
        while data:
            data = data[write(told, data) :]

    tell(runner.collect(setup["plugins"], setup["options"]))
    while True:
        while b"\n" not in pending:
            data = read(asked, 65536)
            if not data:
                leave(0)
            pending += data
        line, _, pending = pending.partition(b"\n")
        request = loads(line)
        answer = runner.run(request["run"], request["next"]) if "run" in request else {"altered": integrity.altered()}
        tell(dict(answer, nonce=request["nonce"]))
