"""Which tests execute the changed functions, for how much of their time, and can be repeated. Runs inside a sandbox.

Its text follows those of `workload.py` and of `inside/`, whose names it uses. Reads a request from stdin (`files`,
`packages`, `nodeids`, `targets`: path -> [[first, last, name]], `root`, `test_s`, `total_s` of processor time,
`clock_s` in all), tries the tests in the order of `nodeids`, and writes one JSON line per test to stdout. Without
`targets` it only tells what they see; with `untraced` also how long they take: nobody can watch compiled code.
"""

import json
import os
import signal
import statistics
import sys
import time
from typing import Any

if "collect" not in globals():  # in a sandbox these texts are one module
    from tasks.perftests.inside.survey import Survey, surveyed
    from tasks.perftests.inside.watch import Watch
    from tasks.perftests.sources.pytest.inside.workload import FILES, PACKAGES, collect, prepare

ONCE = "it passes only once per set of fixtures: "
ENOUGH_S = 0.05  # of repetitions, to know how long one call takes
TIMERS = {signal.ITIMER_REAL: signal.SIGALRM, signal.ITIMER_PROF: signal.SIGPROF}  # tests use the first themselves
WATCHED = 7  # calls under watch at most: one of them may lose its core for longer than it takes


class TooSlow(KeyboardInterrupt):
    """A test used up its time. Neither tests nor what runs them take this for a failure of the test."""


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def tell(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        import pytest  # noqa: F401
    except ImportError:
        tell(problem="the environment has no pytest: add it to environment.packages")
        return
    FILES.update(request["files"])
    PACKAGES.extend(request["packages"])
    start, end = time.process_time(), time.monotonic() + request["clock_s"]
    for number in TIMERS.values():
        signal.signal(number, _stop)
    try:
        survey = Survey()
        items, problems = collect(request["nodeids"], None, survey)
    except BaseException as error:
        tell(problem=f"pytest cannot be started: {type(error).__name__}: {error}")
        return
    if problems:
        tell(problem=problems)
    rank = {nodeid: number for number, nodeid in enumerate(request["nodeids"])}
    for item in sorted(items, key=lambda item: rank.get(item.nodeid.partition("[")[0], 0)):
        if time.process_time() - start > request["total_s"] or time.monotonic() > end:
            tell(problem="time was up before all tests were tried")
            break
        _limit(request["test_s"])
        try:
            targets, root = request["targets"], request["root"]
            if request.get("untraced"):
                answer = time_only(item, survey)
            else:
                answer = look(item, survey, targets, root) if targets else glance(item, survey)
        except TooSlow:
            answer = {"why_not": "takes longer than {} s".format(request["test_s"]), "slow": True}
        except BaseException as error:
            answer = {"why_not": f"{type(error).__name__}: {error}"[:300]}
        finally:
            _limit(0)
        tell(nodeid=item.nodeid, **answer)
    answers.close()
    os._exit(0)  # tests may have left threads behind


def _limit(seconds: float) -> None:
    """The time that a test may take from now on; 0: any."""
    for timer in TIMERS:
        signal.setitimer(timer, seconds)


def _stop(*_: Any) -> None:
    raise TooSlow


def look(item: Any, survey: Any, targets: dict, root: str) -> dict:
    """Run one test: once to warm up, a few times watched, then alone until its time is known."""
    body = prepare(item)
    outcome = body()
    if outcome != "passed":
        return {"why_not": outcome}
    shares: list = []
    end = time.perf_counter() + ENOUGH_S
    while not shares or (len(shares) < WATCHED and time.perf_counter() < end):
        watch = survey.watch = Watch(targets, root)
        outcome = watch.run(body)
        if outcome != "passed":
            return {"why_not": ONCE + outcome}
        if not watch.seen:
            return {"functions": []}
        shares.append(watch.share)
    best, outcome = alone(body)
    if outcome != "passed":
        return {"why_not": ONCE + outcome}
    places = surveyed(lambda: survey.look(body, targets, root))
    return {"functions": sorted(watch.seen), "share": statistics.median(shares), "seconds": best, "places": places}


def glance(item: Any, survey: Any) -> dict:
    """What a test sees."""
    body = prepare(item)
    outcome = body()
    return {"places": surveyed(lambda: survey.look(body, {}, "")) if outcome == "passed" else {}}


def time_only(item: Any, survey: Any) -> dict:
    """How long a test takes and what it sees, where no call of the changed functions can be noticed."""
    body = prepare(item)
    outcome = body()
    if outcome != "passed":
        return {"why_not": outcome}
    best, outcome = alone(body)
    if outcome != "passed":
        return {"why_not": ONCE + outcome}
    return {"seconds": best, "places": surveyed(lambda: survey.look(body, {}, ""))}


def alone(body: Any) -> tuple:
    """The shortest of some calls, in seconds, and what the last of them came to."""
    best, spent, calls = float("inf"), 0.0, 0
    while calls < 3 or (spent < ENOUGH_S and calls < 1000):
        start = time.perf_counter()
        outcome = body()
        took = time.perf_counter() - start
        if outcome != "passed":
            break
        best = min(best, took)
        spent, calls = spent + took, calls + 1
        if took > 1:
            break
    return best, outcome


if __name__ == "__main__":
    main()
