"""What the sources that use the repository's own code share: trying workloads on base under watch, writing scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.perftests.changed import Place
from tasks.sandbox.models import Arm, Limits, Sandbox

EXPERIMENT_S = 0.1
"""How long an experiment is to take on base: a workload is repeated for about as long."""
TEST_S = 10.0
"""Longest time for trying one workload, in seconds."""
ALL_TESTS_S = 60.0
"""Longest time for trying all workloads of a commit; the most promising are tried first."""
MIN_SHARE = 0.05
"""A workload that spends less of its time in the changed functions shows nothing; if all do, the best is taken."""
MAX_REPEATS = 100_000


class NothingFound(Exception):
    """A source has nothing to offer; the message says how far the search came."""


def try_inside(
    program: str, request: Mapping[str, Any], sandbox: Sandbox, arm: Arm, work: Any, limits: Limits
) -> tuple[list[dict[str, Any]], list[str]]:
    """Run a discovery program in an arm with a request on stdin. Returns its answers (JSON objects, one per line) and
    the problems that stopped it, as text. Raises SandboxError."""
    variables = {"PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1"}
    command = arm.command(work, ("-c", program), variables=variables, limits=limits)
    done = sandbox.run(command, stdin=json.dumps(request).encode())
    answers = list(_objects(done.stdout))
    problems = [str(answer["problem"]) for answer in answers if "problem" in answer]
    problems += [f"{answer.get('nodeid')}: {answer['why_not']}" for answer in answers if "why_not" in answer]
    if done.timed_out:
        problems.append("trying them took too long")
    elif not answers:
        problems.append(f"it ended with {done.returncode}: {done.stderr[-500:].decode(errors='replace').strip()}")
    return answers, problems


def repeats(seconds: float, target_s: float = EXPERIMENT_S) -> int:
    """Calls that take about `target_s`, as a power of two: a script's text must not follow every tremor of a clock, or
    a run that was killed and goes on would offer the same workload again under another name."""
    wanted = min(MAX_REPEATS, target_s / max(seconds, 1e-7))
    return 2 ** max(0, round(math.log2(max(wanted, 1.0))))


def spans(targets: Mapping[str, Sequence[Place]]) -> dict[str, list[tuple[int, int, str]]]:
    """Changed functions by path, as `watch.py` wants them: first line, last line, name."""
    found: dict[str, list[tuple[int, int, str]]] = {}
    for name, places in targets.items():
        for place in places:
            found.setdefault(place.path, []).append((place.first, place.last, name))
    return found


def best_api(functions: Sequence[str], apis: Sequence[str]) -> str:
    """The API whose name the executed functions end with, else the best ranked, else the first function."""
    for function in functions:
        for api in apis:
            if function.endswith(api.rsplit(".", 1)[-1]):
                return api
    return apis[0] if apis else functions[0]


def literal(text: str) -> str:
    """A Python literal of a text; readable where the text allows it."""
    readable = "'''" not in text and not text.endswith(("'", "\\")) and "\r" not in text and "\0" not in text
    return f"r'''{text}'''" if readable else repr(text)


def _objects(stdout: bytes) -> Iterable[dict[str, Any]]:
    for line in stdout.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        if isinstance(answer, dict):
            yield answer
