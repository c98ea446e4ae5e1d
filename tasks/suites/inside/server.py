"""Starts tests in processes below it and says what became of them. `session.py` is its client and its only caller.

Standard library and the environment's pytest only, syntax of Python 3.8. This process imports pytest and what else the
tests are run with, and never the arm. The processes below cannot look into it: its memory and its pipes are closed to
them, and what it says carries a word that it is told after they were made. It has its own clock, so that a test whose
time is up can be told from one whose process ended.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import ast
import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import sys
import time
import types
from typing import Any, Dict, List

from tasks.suites.inside.below import LONG, Below, Ended, empty, guard
from tasks.suites.inside.canaries import count, spoil
from tasks.suites.inside.child import main as run_child

LEFT_OUT = (
    "xdist", "randomly", "random_order", "random-order", "cov", "sugar", "rerunfailures", "flaky", "timeout", "html",
    "instafail", "forked", "testmon", "codspeed", "picked", "isort", "flake8", "mypy", "ruff", "black", "pylint",
)  # fmt: skip
"""Plugins that change order, number or place of tests, or add some."""
MOST_TESTS = 20000
"""Of one chunk."""


class Server:
    """Answers the driver."""

    def __init__(self, requests: Any, answers: int) -> None:
        self.requests, self.answers = requests, answers
        take = os.environ.pop
        self.root, self.tools = take("SUITE_ROOT"), take("SUITE_TOOLS")
        self.paths = [path for path in take("SUITE_PATH").split(os.pathsep) if path]
        self.private = take("SUITE_CLEAN").split(os.pathsep)
        self.plugins: List[str] = []
        self.options: List[str] = []

    def tell(self, **answer: Any) -> None:
        """One line to the driver."""
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(self.answers, data) :]

    def serve(self) -> None:
        """Until the driver closes the pipe."""
        for line in self.requests:
            request = json.loads(line)
            if request.pop("op") == "hello":
                self.tell(**self.hello(**request))
            else:
                self.run(request)

    def hello(self, names: List[str]) -> Dict[str, Any]:
        """Import what runs tests. `names`: top-level modules that the arm adds."""
        sys.path[:] = [path for path in sys.path if path != ""]
        brought = importlib.util.find_spec("pytest") is None
        if brought:
            sys.path.append(self.tools)
        try:
            guard(True)
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
            self.import_all()
        except Exception as error:
            return {"problem": f"{type(error).__name__}: {error}"[:300], "brought": brought}
        shadowed = [name for name in names if self.exists(name)]
        version = getattr(sys.modules["pytest"], "__version__", "")
        return {"pytest": version, "brought": brought, "shadowed": shadowed, "python": sys.version.split()[0]}

    def exists(self, name: str) -> bool:
        """Whether the environment has a module of this name."""
        try:
            return name in sys.modules or importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            return False

    def import_all(self) -> None:
        """Pytest with its own plugins, once for all processes below, and those of the environment's packages."""
        from importlib import metadata

        import pytest  # noqa: F401
        from _pytest.config import default_plugins

        for name in default_plugins:
            with contextlib.suppress(Exception):
                importlib.import_module("_pytest." + name)
        for distribution in metadata.distributions():
            for point in distribution.entry_points:
                if point.group == "pytest11" and not any(word in point.name.lower() for word in LEFT_OUT):
                    with contextlib.suppress(Exception):
                        module = point.value.partition(":")[0].strip()
                        importlib.import_module(module)  # a plugin that is the arm's own cannot be had here
                        self.plugins.append(module)
                        if point.name == "benchmark":
                            self.options.append("--benchmark-disable")
        self.plugins = sorted(set(self.plugins))

    def codes(self, files: List[str], spoiled: Dict[str, int]) -> Dict[str, Any]:
        """Path -> what the file executes, with assertions spoiled: node id without parameters -> which."""
        found: Dict[str, Any] = {}
        for file in files:
            path = os.path.join(self.root, file)
            try:
                with open(path, "rb") as source:
                    tree = ast.parse(source.read(), path)
                for nodeid, index in spoiled.items():
                    place, _, name = nodeid.partition("::")
                    if place == file:
                        spoil(tree, name.replace("::", "."), index)
                found[path] = compile(tree, path, "exec", dont_inherit=True)
            except (OSError, SyntaxError, ValueError, RecursionError):
                continue
        return found

    def run(self, request: Dict[str, Any]) -> None:
        """Run tests of some files in a process of their own, and tell of each."""
        codes = self.codes(request["files"], request.pop("spoiled"))
        setup = {"codes": codes, "targets": request["targets"], "plugins": self.plugins, "options": self.options}
        if request["count"]:
            counted = self.count(request["files"])
        asked, told = os.pipe(), os.pipe()
        files = request["files"]
        pid = os.fork()
        if pid == 0:
            self.become_child(asked, told, files, setup, request)
        os.close(asked[0])
        os.close(told[1])
        below = Below(pid, asked[1], told[0])
        self.tell(started=True)
        token = json.loads(self.requests.readline())["token"]
        report = {"token": token, "done": True, "left": [], "ended": "", "altered": [], "counted": {}}
        if request["count"]:
            report["counted"] = counted
        try:
            self.talk(below, request, token, report)
        except Ended as ended:
            report["ended"] = str(ended)
        finally:
            below.end()
            for folder in self.private:
                empty(folder)
        self.tell(**report)

    def count(self, files: List[str]) -> Dict[str, int]:
        """Test functions of the files -> how many canaries could be made of each."""
        found: Dict[str, int] = {}
        for file in files:
            with contextlib.suppress(OSError, SyntaxError, ValueError, RecursionError):
                with open(os.path.join(self.root, file), "rb") as source:
                    tree = ast.parse(source.read())
                for name in _functions(tree):
                    found[file + "::" + name.replace(".", "::")] = count(tree, name)
        return found

    def become_child(self, asked: Any, told: Any, files: List[str], setup: Dict[str, Any], request: Any) -> None:
        """In the new process: nothing of the driver's is left open, and nothing says which tests are to come."""
        try:
            os.setsid()
            request.clear()
            kept = {asked[0], told[1]}
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            for name in os.listdir("/proc/self/fd"):
                if int(name) > 2 and int(name) not in kept:
                    with contextlib.suppress(OSError):
                        os.close(int(name))
            guard(False)
            run_child((asked[0], told[1]), self.root, self.paths, files, setup)
        finally:
            os._exit(1)

    def talk(self, below: Below, request: Dict[str, Any], token: str, report: Dict[str, Any]) -> None:
        """Ask the process below for its tests, one after the other. Raises Ended."""
        end = time.monotonic() + request["total_s"]
        begun = time.monotonic()
        collected = below.listen(request["collect_s"], LONG)
        if collected is None:
            report["ended"] = "collecting the tests takes longer than {:.3g} s".format(request["collect_s"])
            return
        known = [name[:2000] for name in _list(collected, "collected")[:MOST_TESTS] if isinstance(name, str)]
        errors = [str(text)[:300] for text in _list(collected, "errors")][:20]
        functions = _list(collected, "functions")[:5000]
        self.tell(token=token, collected=known, errors=errors, functions=functions, s=time.monotonic() - begun)
        there = set(known)
        wanted = [name for name in request["tests"] if name in there] if request["tests"] is not None else known
        wanted = wanted[::-1] if request["reverse"] else wanted
        for number, nodeid in enumerate(wanted):
            if time.monotonic() > end:
                report["left"] = wanted[number:]
                break
            following = wanted[number + 1] if number + 1 < len(wanted) else ""
            limit = request["limits"].get(nodeid, request["test_s"])
            start = time.monotonic()
            try:
                answer = below.ask({"run": nodeid, "next": following}, limit)
            except Ended as ended:
                self.tell(token=token, test=nodeid, outcome="ended", why=str(ended), s=time.monotonic() - start)
                raise
            taken = time.monotonic() - start
            if answer is None:
                why = f"takes longer than {limit:.3g} s"
                self.tell(token=token, test=nodeid, outcome="timeout", why=why, s=taken)
                raise Ended(why)
            self.tell(
                token=token, test=nodeid, s=taken, outcome=str(answer.get("outcome"))[:20],
                why=str(answer.get("why"))[:300], own=answer.get("own") is True,
                functions=[str(name) for name in _list(answer, "functions")[:5000]],
            )  # fmt: skip
        answer = below.ask({"finish": True}, 10.0)
        report["altered"] = ["?"] if answer is None else [str(name)[:200] for name in _list(answer, "altered")[:50]]


def _list(answer: Dict[str, Any], name: str) -> List[Any]:
    value = answer.get(name)
    return value if isinstance(value, list) else []


def _functions(node: Any, prefix: str = "") -> Any:
    for inner in node.body:
        if isinstance(inner, ast.ClassDef):
            yield from _functions(inner, prefix + inner.name + ".")
        elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + inner.name


def main() -> None:
    """Take the pipes away from file descriptors 0 and 1, and serve."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for name in [name for name in sys.modules if name.split(".")[0] in ("tasks", "__main__")]:
        del sys.modules[name]  # the arm may have packages of these names
    sys.modules["__main__"] = types.ModuleType("__main__")
    with os.fdopen(requests, "rb") as lines:
        Server(lines, answers).serve()
