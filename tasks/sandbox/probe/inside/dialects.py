"""The two forms of perf test scripts, and what both have in common. The probe executes this file inside sandboxes.

Standard library only, syntax of Python 3.8.
"""

import functools
import inspect
import timeit
import traceback
import types
from typing import Any

FILENAME = "<perf test>"
OURS = ("<string>", "<probe>")


class Failure(Exception):
    """A request that failed: kind as in `probing.ProbeError`."""

    def __init__(self, kind: Any, message: Any, trace: Any = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace


class Captured(BaseException):
    """Carries the workload out of a run_test that is about to time it; not an Exception, so that nobody swallows it."""


class Call:
    """One call to be timed: `function` takes no arguments, does the work once and returns its result."""

    __slots__ = ("before", "function", "given")

    def __init__(self, function: Any, *given: Any) -> None:
        self.function = function
        self.given = given
        """(what the call works on,); empty where the script hides it."""
        self.before: Any = None
        """Hash of that before the call."""


def user_code(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call into the perf test; whatever it raises, also SystemExit, becomes a Failure with its traceback."""
    try:
        return function(*args, **kwargs)
    except (Failure, Captured):
        raise
    except BaseException as error:
        raise Failure("exception", describe(error), trace_of(error)) from None


def describe(error: Any) -> Any:
    """One line: type and message."""
    return f"{type(error).__name__}: {error}".strip().rstrip(":")[:2000]


def trace_of(error: Any) -> Any:
    """The traceback without the probe's own frames, 8000 characters at most."""
    frames = traceback.extract_tb(error.__traceback__)
    kept = [frame for frame in frames if frame.filename not in OURS]
    lines = traceback.format_list(kept) + traceback.format_exception_only(type(error), error)
    return "".join(lines)[-8000:]


class GsoScript:
    """The `gso` dialect: setup / experiment / store_result / load_result / check_equivalence / run_test.

    run_test is asked first: it is called with a `timeit.timeit` that hands out the callable instead of timing it, so
    arguments and globals are the script's own. A script that times by other means has its setup and experiment called
    directly; one without them has run_test timed as a whole.
    """

    stores_reference = True
    varies = False

    def __init__(self, module: Any) -> None:
        self.space = module.__dict__
        self.direct = callable(self.space.get("experiment")) and callable(self.space.get("setup"))
        run_test = self.space.get("run_test")
        if callable(run_test) and "timeit" in names_used(run_test):
            self.mode = "captured"
        elif self.direct:
            self.mode = "direct"
        elif callable(run_test):
            self.mode = "whole"
        else:
            raise Failure("missing_function", "the script defines neither run_test nor setup and experiment")

    def prepare(self, seed: Any) -> Any:
        """A Call."""
        if self.mode == "captured":
            call = self._capture()
            if call is not None:
                return Call(call, *enclosed(call))
            self.mode = "direct" if self.direct else "whole"  # it uses timeit for something else
        if self.mode == "whole":
            return Call(self._whole)
        setup, experiment = self.space["setup"], self.space["experiment"]
        data = user_code(setup, seed) if positional(setup, "seed") else user_code(setup)
        return Call(functools.partial(experiment, data) if positional(experiment) else experiment, data)

    def _capture(self) -> Any:
        def instead(stmt: Any = "pass", setup: Any = "pass", *args: Any, **kwargs: Any) -> Any:
            space = kwargs.get("globals") or self.space
            if callable(setup):
                setup()
            else:
                exec(setup, space)
            if not callable(stmt):
                compiled = compile(stmt, FILENAME, "exec")
                stmt = lambda: exec(compiled, space)  # noqa: E731
            raise Captured(stmt)

        originals = timeit.timeit, timeit.repeat
        aliases = {name: value for name, value in self.space.items() if any(value is one for one in originals)}
        timeit.timeit = timeit.repeat = instead
        self.space.update(dict.fromkeys(aliases, instead))
        try:
            user_code(self._call_run_test)
        except Captured as captured:
            return captured.args[0]
        finally:
            timeit.timeit, timeit.repeat = originals
            self.space.update(aliases)
        return None

    def _call_run_test(self) -> Any:
        return self.space["run_test"](eqcheck=False, reference=False, prefix="isobench")

    def _whole(self) -> Any:
        kept = []
        store = self.space.get("store_result")
        self.space["store_result"] = lambda result, *args, **kwargs: kept.append(result)
        try:
            self.space["run_test"](eqcheck=False, reference=True, prefix="isobench")
        finally:
            self.space["store_result"] = store
        return kept[-1] if kept else None

    def check(self, reference: Any, candidate: Any) -> Any:
        """Call check_equivalence as the script does: the reference goes through store_result and load_result."""
        check = self.space.get("check_equivalence")
        if not callable(check):
            raise Failure("missing_function", "the script does not define check_equivalence")
        names = [name.lower() for name in positional(check) or ["", ""]]
        swapped = names[0].startswith(("cur", "cand", "new", "act", "got", "res", "out"))
        return check(candidate, reference) if swapped else check(reference, candidate)


class IsobenchScript:
    """The `isobench` dialect: setup(seed), experiment(state), check_equivalence(reference, candidate)."""

    mode = "direct"
    stores_reference = False
    varies = True
    """Whether the seed is asked for: a workload that is the same for all seeds is then worth telling."""

    def __init__(self, module: Any) -> None:
        self.space = module.__dict__
        wanted = ("setup", "experiment", "check_equivalence")
        missing = [name for name in wanted if not callable(self.space.get(name))]
        if missing:
            raise Failure("missing_function", "the script does not define " + ", ".join(missing))

    def prepare(self, seed: Any) -> Any:
        """A Call."""
        state = user_code(self.space["setup"], seed)
        return Call(functools.partial(self.space["experiment"], state), state)

    def check(self, reference: Any, candidate: Any) -> Any:
        """Call check_equivalence."""
        return self.space["check_equivalence"](reference, candidate)


def names_used(function: Any) -> Any:
    """Names that a function and those nested in it refer to."""
    names, codes = set(), [getattr(function, "__code__", None)]
    while codes:
        code = codes.pop()
        if code is not None:
            names.update(code.co_names)
            codes.extend(const for const in code.co_consts if isinstance(const, types.CodeType))
    return names


def enclosed(function: Any) -> Any:
    """(The data that a function encloses,); () where there is none."""
    data = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:
            continue  # not bound
        if not callable(value) and not isinstance(value, types.ModuleType):
            data.append(value)
    return (data,) if data else ()


def positional(function: Any, *named: Any) -> Any:
    """Names of the positional parameters without a default, or of those in `named`; [] where unknown."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in found if p.kind <= 1 and (p.default is p.empty or p.name in named)]


SCRIPTS = {"isobench": IsobenchScript, "gso": GsoScript}
