"""Which benchmarks execute the changed functions, with which parameters, for how much of their time. In a sandbox.

Its text follows those of `workload.py` and of `inside/`, whose names it uses. Reads a request from stdin (`files`,
`package`, `modules`: best first, `hints`: function name -> score, `targets`: path -> [[first, last, name]], `root`,
`test_s`, `total_s` of processor time, `clock_s` by the clock), and writes one JSON line per benchmark and combination
of parameters to stdout. Without `targets` it only tells what those of `chosen` ([name, combination]) see.
"""

import inspect
import json
import os
import signal
import sys
import time
from typing import Any

if "Benchmark" not in globals():  # in a sandbox these texts are one module
    from tasks.perftests.inside.survey import Survey, surveyed
    from tasks.perftests.sources.asv.inside import workload
    from tasks.perftests.sources.asv.inside.workload import RETURNED, Benchmark, combinations, prepare, unpack
else:
    workload = sys.modules[__name__]

ENOUGH_S = 0.05  # of repetitions, to know how long one call takes
PER_BENCHMARK = 24  # combinations of parameters tried
TIMED = "time_"


class TooSlow(BaseException):
    """A benchmark used up its time."""


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def tell(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    workload.FILES.update(request["files"])
    workload.PACKAGE = request["package"]
    start, end = time.process_time(), time.monotonic() + request["clock_s"]
    signal.signal(signal.SIGALRM, _stop)
    survey = Survey()
    unpack(None, survey)
    elsewhere = set()  # benchmarks whose first parameters already show that they run other code
    for name, number in request.get("chosen") or order(request, tell):
        if name in elsewhere:
            continue
        if time.process_time() - start > request["total_s"] or time.monotonic() > end:
            tell(problem="time was up before all benchmarks were tried")
            break
        signal.setitimer(signal.ITIMER_REAL, request["test_s"])
        try:
            answer = look(name, number, survey, request["targets"], request["root"])
        except TooSlow:
            answer = {"why_not": "takes longer than {:g} s".format(request["test_s"])}
        except NotImplementedError as error:
            answer = {"why_not": f"skips itself: {error}"[:300]}
        except BaseException as error:
            answer = {"why_not": f"{type(error).__name__}: {error}"[:300]}
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if answer.get("functions") == []:
            elsewhere.add(name)
        tell(nodeid=f"{name}[{number}]", name=name, combination=number, **answer)
    answers.close()
    os._exit(0)  # benchmarks may have left threads behind


def _stop(*_: Any) -> None:
    raise TooSlow


def order(request: dict, tell: Any) -> list:
    """(benchmark, combination), the most promising benchmarks first; first combinations before further ones."""
    found = []
    for module_name in request["modules"]:
        try:
            module = __import__(module_name, fromlist=["_"])
        except BaseException as error:
            tell(problem=f"{module_name} cannot be imported: {type(error).__name__}: {error}"[:300])
            continue
        for name in benchmarks_of(module):
            function = name.rpartition(":")[2].rpartition(".")[2]
            found.append((-request["hints"].get(function, 0.0), name))
    tries = []
    for place, (score, name) in enumerate(sorted(found, key=lambda item: item[0])):
        try:
            count = len(combinations(params_of(name)))
        except BaseException as error:
            tell(nodeid=name, why_not=f"{type(error).__name__}: {error}"[:300])
            continue
        for number in range(min(count, PER_BENCHMARK)):
            tries.append((score, number, place, name, number))
    return [(name, number) for _, _, _, name, number in sorted(tries)]


def benchmarks_of(module: Any) -> list:
    """`module:function` and `module:Class.method` of the timed benchmarks that a module defines or inherits."""
    found = []
    for name, value in vars(module).items():
        if name.startswith(TIMED) and inspect.isfunction(value):
            found.append(f"{module.__name__}:{name}")
        elif inspect.isclass(value) and not name.startswith("_") and value.__module__ == module.__name__:
            methods = [method for method in dir(value) if method.startswith(TIMED)]
            found += [f"{module.__name__}:{name}.{method}" for method in methods if callable(getattr(value, method))]
    return found


def params_of(name: str) -> Any:
    """The attribute params of a benchmark, without making one."""
    module_name, _, path = name.partition(":")
    places: list = [sys.modules[module_name]]
    for part in path.split("."):
        places.append(getattr(places[-1], part))
    return next((place.params for place in reversed(places) if hasattr(place, "params")), [])


def look(name: str, number: int, survey: Any, targets: dict, root: str) -> dict:
    """Run one benchmark: twice under watch, then alone until its time is known."""
    took_s = []

    def observed() -> Any:
        start = time.perf_counter()
        [benchmark] = prepare([Benchmark(name, number)])
        took_s.append(time.perf_counter() - start)
        return survey.look(lambda: survey.keep(RETURNED, benchmark.function(*benchmark.arguments)), targets, root)

    places = surveyed(observed)
    if not targets:
        return {"places": places}
    watch = survey.watch
    if not watch.seen:
        return {"functions": []}
    [benchmark] = prepare([Benchmark(name, number)])
    limit = int(benchmark.first("number", 0) or 0)
    best, spent, calls = float("inf"), 0.0, 0
    while calls < 3 or (spent < ENOUGH_S and calls < 1000):
        if limit and calls % limit == 0:
            prepare([benchmark])
        start = time.perf_counter()
        benchmark.function(*benchmark.arguments)
        took = time.perf_counter() - start
        best = min(best, took)
        spent, calls = spent + took, calls + 1
        if took > 1:
            break
    return {
        "functions": sorted(watch.seen),
        "share": watch.share,
        "seconds": best,
        "setup_s": took_s[-1],
        "limit": limit,
        "label": benchmark.label,
        "places": places,
    }


if __name__ == "__main__":
    main()
