"""A benchmark written for airspeed velocity as a workload: setup prepares it as asv would, experiment calls it.

The text of this file is a part of generated scripts and runs inside sandboxes: standard library only, syntax of Python
3.8; asv itself is not needed. It follows those of `values.py` and `observing.py`, whose names it uses. What comes after
it in a script fills in the names in capitals.

The benchmark's files are written to a new folder and imported from there, so a change of the arm's own benchmarks
cannot reach them. As in asv: setup_cache runs once per process and every setup gets a copy of what it returns, if that
is anything; functions `setup` of the module, the class and the benchmark run before, `teardown` after;
NotImplementedError in setup means that these parameters are not for this machine. A benchmark that sets `number` is
called that often per setup.

Benchmarks drop what they compute, so the result is what the calls in them came to (PLACES), and what they return.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import os
import pickle
import sys
import tempfile
import types
from typing import Any

if "KEEPER" not in globals():  # in a sandbox these texts are one module
    from tasks.perftests.inside.observing import KEEPER, Keeper, chosen_calls, observe_imports, told_once
    from tasks.perftests.inside.values import differs

FILES: dict[str, str] = {}  # path in the suite -> text
PACKAGE = "benchmarks"  # asv's benchmark_dir, which the benchmarks import each other from
BENCHMARK = ""  # module:function or module:Class.method
COMBINATION = 0  # which of the products of params
NUMBER = 1  # calls per prepared benchmark
COPIES = 1  # prepared benchmarks in one experiment
PLACES: list[str] = []  # what is looked at, as `observing.py` names it
RETURNED = "returned"  # the place of what a benchmark returns

_open: dict[str, Any] = {"ready": []}


class Benchmark:
    """One time_* function with one combination of its parameters."""

    def __init__(self, name: str, combination: int) -> None:
        module_name, _, path = name.partition(":")
        module = importlib.import_module(module_name)
        self.name = name
        owner: Any = module
        *classes, function = path.split(".")
        for part in classes:
            owner = getattr(owner, part)
        self.places = [module]
        if inspect.isclass(owner):
            owner = owner()
            self.places.insert(0, owner)
        self.function = getattr(owner, function)
        self.places.insert(0, self.function)
        every = combinations(self.first("params", []))
        self.params: tuple[Any, ...] = tuple(every[combination])
        self.label = ", ".join(map(repr, self.params))[:200]

    def first(self, name: str, default: Any) -> Any:
        """An attribute of the function, its object or its module, whichever has it first."""
        return next((getattr(place, name) for place in self.places if hasattr(place, name)), default)

    def prepare(self) -> None:
        """Run setup_cache and the setups. Raises NotImplementedError where asv would skip."""
        if getattr(self.function, "skip_benchmark", False) or self.params in getattr(self.function, "skip_params", ()):
            raise NotImplementedError("the benchmark says that it is to be skipped")
        self.arguments = self.params
        make_cache = self.first("setup_cache", None)
        if make_cache is not None:
            value = _cached(make_cache)
            if value is not None:  # else it has prepared something that is found elsewhere, say a file
                self.arguments = (value, *self.params)
        for place in reversed(self.places):
            if callable(getattr(place, "setup", None)):
                place.setup(*self.arguments)

    def observed(self) -> None:
        """Call it; what it returns is kept."""
        KEEPER.keep(RETURNED, self.function(*self.arguments))

    def end(self) -> None:
        """Run the teardowns."""
        for place in self.places:
            if callable(getattr(place, "teardown", None)):
                place.teardown(*self.arguments)


class Outcome:
    """What the calls of an experiment came to. Turned into text by store_result, when the clock has stopped."""

    def __init__(self, seen: list[list[Any]]) -> None:
        self.seen = seen


def setup(seed: int) -> str:
    """Prepare benchmarks. What is returned is the same for every seed, which says that the workload is, too."""
    unpack(PLACES, KEEPER)
    prepare([Benchmark(BENCHMARK, COMBINATION) for _ in range(COPIES)])
    _open["chosen"] = chosen_calls(NUMBER * COPIES, seed)
    return f"{BENCHMARK}[{COMBINATION}]"


def experiment(state: str) -> Outcome:
    """Call each of the prepared benchmarks NUMBER times."""
    chosen, number, seen = _open["chosen"], 0, []
    for benchmark in _open["ready"]:
        function, arguments = benchmark.function, benchmark.arguments
        for _ in range(NUMBER):
            if number in chosen:
                KEEPER.run(benchmark.observed)
                seen.append(KEEPER.take())
            else:
                function(*arguments)
            number += 1
    return Outcome(seen)


def store_result(result: Outcome, path: str) -> None:
    """The benchmark's name, and what its calls came to."""
    calls = [[pair for pair in seen if pair[0] in PLACES] for seen in result.seen]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"benchmark": BENCHMARK, "outcome": "finished", "seen": told_once(calls)}, file)


def load_result(path: str) -> Any:
    """What store_result wrote."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def check_equivalence(reference: Any, candidate: Any) -> None:
    """Both finished and saw the same; floats to six digits."""
    for result in (reference, candidate):
        assert result["benchmark"] == BENCHMARK, result["benchmark"]
        assert result["outcome"] == "finished", result["outcome"]
    difference = differs(reference["seen"], candidate["seen"], "seen")
    assert not difference, difference


def unpack(places: list[str] | None, keeper: Keeper) -> None:
    """Write the suite to a folder and make it importable, once per process; `places` (None: all) are observed."""
    if "root" in _open:
        return
    root = _open["root"] = os.path.realpath(tempfile.mkdtemp(prefix="suite-"))
    for path, text in {f"{PACKAGE}/__init__.py": "", **FILES}.items():
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    sys.path.insert(0, root)
    observe_imports(root, places, keeper)
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        importlib.import_module("asv_runner.benchmarks.mark")
    except ImportError:
        marks()


def prepare(benchmarks: list[Benchmark]) -> list[Benchmark]:
    """End those of an earlier setup and set these up."""
    while _open["ready"]:
        _open["ready"].pop().end()
    for benchmark in benchmarks:
        benchmark.prepare()
        _open["ready"].append(benchmark)
    return benchmarks


def combinations(params: Any) -> list[tuple[Any, ...]]:
    """All products of params: a list of lists, or one list for a single parameter."""
    found = list(params)
    if found and not isinstance(found[0], (list, tuple)):
        found = [found]
    return list(itertools.product(*found))


def marks() -> None:
    """The decorators of asv_runner that benchmarks use, for environments without it."""

    class SkipNotImplemented(NotImplementedError):
        pass

    def skip_benchmark(target: Any) -> Any:
        target.skip_benchmark = True
        return target

    def skip_for_params(skipped: Any) -> Any:
        def mark(function: Any) -> Any:
            function.skip_params = [tuple(params) for params in skipped]
            return function

        return mark

    def parameterize(named: Any) -> Any:
        def mark(target: Any) -> Any:
            target.params, target.param_names = list(named.values()), list(named)
            return target

        return mark

    mark = types.ModuleType("asv_runner.benchmarks.mark")
    mark.__dict__.update(
        SkipNotImplemented=SkipNotImplemented,
        skip_benchmark=skip_benchmark,
        skip_benchmark_if=lambda condition: skip_benchmark if condition else (lambda target: target),
        skip_for_params=skip_for_params,
        skip_params_if=lambda params, condition: skip_for_params(params if condition else []),
        parameterize=parameterize,
        parameterize_class_with=parameterize,
        parameterize_func_with=parameterize,
    )
    for name in ("asv_runner", "asv_runner.benchmarks"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["asv_runner.benchmarks.mark"] = mark


def _cached(make: Any) -> Any:
    """A copy of what setup_cache returns, which runs once per process; without copies where it cannot be pickled."""
    key = f"{make.__module__}:{make.__qualname__}" if hasattr(make, "__qualname__") else repr(make)
    if key not in _open:
        value = make()
        try:
            _open[key] = pickle.dumps(value), None
        except Exception:
            _open[key] = None, value
    data, value = _open[key]
    return pickle.loads(data) if data is not None else value
