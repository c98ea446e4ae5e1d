"""Times the perf tests that an agent may see.

    python /perf_tests/measure.py                      all of them: seconds per call, best and median
    python /perf_tests/measure.py perf_test_1.py       one
    python /perf_tests/measure.py --save DIR           also keep the results, before anything is changed
    python /perf_tests/measure.py --check DIR          also compare the results with those that were kept

Standard library only, syntax of Python 3.8.
"""

import argparse
import os
import pickle
import statistics
import sys
import time
import types
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
LEAST_CALLS = 5
MOST_CALLS = 200


def main(argv: Any = None) -> int:
    """Measure; returns 1 if a perf test fails."""
    parser = argparse.ArgumentParser(description="Times perf tests.")
    parser.add_argument("names", nargs="*", help="files beside this one; default: all")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each, at least five calls (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the workload (default: 0)")
    parser.add_argument("--save", metavar="DIR", help="keep the results there")
    parser.add_argument("--check", metavar="DIR", help="compare with the results that are there")
    chosen = parser.parse_args(argv)
    names = chosen.names or sorted(name for name in os.listdir(HERE) if name.startswith("perf_test_"))
    failed = 0
    for name in names:
        try:
            said = measured(load(os.path.join(HERE, name)), chosen)
        except Exception as error:
            failed += 1
            said = f"FAILED: {type(error).__name__}: {error}"
        print(f"{os.path.basename(name)}: {said}", flush=True)
    return 1 if failed else 0


def load(path: str) -> Any:
    """The perf test as a module."""
    module = types.ModuleType(os.path.splitext(os.path.basename(path))[0])
    module.__file__ = path
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    return module


def measured(module: Any, chosen: Any) -> str:
    """Seconds per call, in words. Raises whatever the perf test does, AssertionError for a wrong result."""
    if not callable(getattr(module, "experiment", None)):
        raise ValueError("it has no experiment() that could be called: run it by itself")
    takes_seed = module.setup.__code__.co_argcount > 0
    state = module.setup(chosen.seed) if takes_seed else module.setup()
    takes_state = module.experiment.__code__.co_argcount > 0
    spent: Any = []
    result = None
    end = time.perf_counter() + chosen.seconds
    while len(spent) < LEAST_CALLS or (time.perf_counter() < end and len(spent) < MOST_CALLS):
        started = time.perf_counter()
        result = module.experiment(state) if takes_state else module.experiment()
        spent.append(time.perf_counter() - started)
    said = f"best {min(spent):.3g} s, median {statistics.median(spent):.3g} s of {len(spent)} calls"
    return said + kept(module, result, chosen)


def kept(module: Any, result: Any, chosen: Any) -> str:
    """Keep or compare a result, and say so."""
    for folder in (chosen.save, chosen.check):
        if not folder:
            continue
        path = os.path.join(folder, f"{module.__name__}-{chosen.seed}.pickle")
        if folder is chosen.save:
            os.makedirs(folder, exist_ok=True)
            with open(path, "wb") as file:
                pickle.dump(result, file)
            return "; result kept"
        with open(path, "rb") as file:
            module.check_equivalence(pickle.load(file), result)
        return "; same result"
    return ""


if __name__ == "__main__":
    sys.exit(main())
