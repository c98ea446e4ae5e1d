"""Which tests execute the changed functions, for how much of their time, and can be repeated. Runs inside a sandbox.

Its text follows those of `workload.py` and of `inside/`, whose names it uses. Reads a request from stdin (`files`,
`packages`, `nodeids`, `targets`: path -> [[first, last, name]], `root`, `test_s`, `total_s` of processor time,
`clock_s` in all), tries the tests in the order of `nodeids`, and writes one JSON line per test to stdout, and another
with what it sees for the best of them. Without `targets` it only tells what they see; with `untraced` also how long
they take: nobody can watch compiled code.
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
SURVEYED = 16  # tests whose results are looked at: to tell them takes longer than all else where they are trees
LOOKING = 0.75  # share of the time in which tests are tried; the rest is for what they see
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
    start, begun = time.process_time(), time.monotonic()

    def used() -> float:
        return max((time.process_time() - start) / request["total_s"], (time.monotonic() - begun) / request["clock_s"])

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
    targets, root, limit = request["targets"], request["root"], request["test_s"]
    executed: list = []
    for item in sorted(items, key=lambda item: rank.get(item.nodeid.partition("[")[0], 0)):
        if used() > (LOOKING if targets else 1):
            tell(problem="time was up before all tests were tried")
            break
        if request.get("untraced"):
            answer = tried(limit, time_only, item, survey)
        else:
            answer = tried(limit, look, item, survey, targets, root) if targets else tried(limit, glance, item, survey)
        tell(nodeid=item.nodeid, **answer)
        if answer.get("functions"):
            executed.append((item, answer))
    for item in best(executed):
        if used() > 1:
            break
        seen = tried(limit, glance, item, survey, targets, root)
        if "places" in seen:
            tell(nodeid=item.nodeid, **seen)
    answers.close()
    os._exit(0)  # tests may have left threads behind


def tried(seconds: float, look_at: Any, *given: Any) -> dict:
    """What a way of looking at a test answers within this time, or why it does not."""
    _limit(seconds)
    try:
        return look_at(*given)
    except TooSlow:
        return {"why_not": f"takes longer than {seconds} s", "slow": True}
    except BaseException as error:
        return {"why_not": f"{type(error).__name__}: {error}"[:300]}
    finally:
        _limit(0)


def best(executed: list) -> list:
    """Of (test, answer) the tests whose results are worth a look, which may take longer than all else: those that spend
    most of their time in changed functions, different ones before further parameters of the same."""
    ranked = sorted(executed, key=lambda pair: (-round(pair[1]["share"], 1), -pair[1]["seconds"]))
    seen: set = set()
    first: list = []
    rest: list = []
    for item, _ in ranked:
        name = item.nodeid.partition("[")[0]
        (rest if name in seen else first).append(item)
        seen.add(name)
    return (first + rest)[:SURVEYED]


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
    shortest, outcome = alone(body)
    if outcome != "passed":
        return {"why_not": ONCE + outcome}
    return {"functions": sorted(watch.seen), "share": statistics.median(shares), "seconds": shortest}


def glance(item: Any, survey: Any, targets: Any = None, root: str = "") -> dict:
    """What a test sees; with targets, of what they did."""
    body = prepare(item)
    outcome = body()
    return {"places": surveyed(lambda: survey.look(body, targets or {}, root)) if outcome == "passed" else {}}


def time_only(item: Any, survey: Any) -> dict:
    """How long a test takes and what it sees, where no call of the changed functions can be noticed."""
    body = prepare(item)
    outcome = body()
    if outcome != "passed":
        return {"why_not": outcome}
    shortest, outcome = alone(body)
    if outcome != "passed":
        return {"why_not": ONCE + outcome}
    return {"seconds": shortest, "places": surveyed(lambda: survey.look(body, {}, ""))}


def alone(body: Any) -> tuple:
    """The shortest of some calls, in seconds, and what the last of them came to."""
    shortest, spent, calls = float("inf"), 0.0, 0
    while calls < 3 or (spent < ENOUGH_S and calls < 1000):
        start = time.perf_counter()
        outcome = body()
        took = time.perf_counter() - start
        if outcome != "passed":
            break
        shortest = min(shortest, took)
        spent, calls = spent + took, calls + 1
        if took > 1:
            break
    return shortest, outcome


if __name__ == "__main__":
    main()
