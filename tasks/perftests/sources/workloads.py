"""Shared by the sources that use the repository's own code: trying workloads on base under watch, writing scripts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from configs.models import PerfTestConfig
from tasks.perftests.inside.values import differs
from tasks.perftests.targets import Place
from tasks.sandbox.models import Arm, Limits, Sandbox

SHARED = Path(__file__).parents[1] / "inside"
SEEING = (SHARED / "values.py", SHARED / "observing.py")
EXPERIMENT_S = 0.1
"""How long an experiment is to take on base: a workload is repeated for about as long."""
TEST_S = 10.0
"""Longest time for trying one workload, in seconds."""
ALL_TESTS_S = 60.0
"""Processor time for trying all workloads of a commit, so that a busy machine tries as many; the most promising are
tried first. On the clock it may take most of `gate_timeout_s`."""
MIN_SHARE = 0.05
"""A workload that spends less of its time in the changed functions shows nothing; if all do, the best is taken."""
LONG_S = 1.0
"""A workload this long shows a change as well as a longer one, in more rounds of a session."""
MAX_REPEATS = 100_000
LOOKED_AT = 2
"""Workloads tried on human for each that is wanted: its results may differ from base's where nobody minds."""
_FUTURE = "from __future__ import annotations\n"


class NothingFound(Exception):
    """A source found no workload; the message says how far the search came."""


@dataclass(frozen=True)
class Workload:
    """A test or benchmark of the repository that ran on base repeatedly and executed changed functions."""

    functions: list[str]
    share: float
    """Share of a call's time inside the changed functions, from 0 to 1."""
    seconds: float
    """One call."""
    places: dict[str, list[Any]]
    """What it sees of the changed functions, by place (see `inside/observing.py`): whether that says something, and its
    values."""

    @property
    def tells(self) -> bool:
        """Whether its result says anything about the work."""
        return any(says for says, _ in self.places.values())


W = TypeVar("W", bound=Workload)


def try_inside(
    folder: Path,
    question: Mapping[str, Any],
    targets: Mapping[str, Sequence[Place]],
    config: PerfTestConfig,
    sandbox: Sandbox,
    arm: Arm,
    work: Path,
    limits: Limits,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Run a source's `discovery.py`, after its `workload.py`, in an arm and ask it a question about the targets (none:
    only what its workloads see).

    `folder` is the source's `inside`. Returns its answers (JSON objects, one per line) and the problems that stopped
    it, as text. Raises SandboxError.
    """
    watching = (SHARED / "watch.py", SHARED / "survey.py")
    program = joined(*SEEING, folder / "workload.py", *watching, folder / "discovery.py")
    request = {
        **question,
        "targets": spans(targets),
        "root": arm.seen_at(work, sandbox),
        "test_s": min(TEST_S, config.max_duration_s),
        "total_s": ALL_TESTS_S,
        "clock_s": config.gate_timeout_s * 0.8,
    }
    variables = {"PYTHONHASHSEED": "0" if targets else "1", "PYTHONNOUSERSITE": "1"}
    within = limits.model_copy(update={"timeout_s": config.gate_timeout_s})
    command = arm.command(work, ("-c", program), variables=variables, limits=within)
    done = sandbox.run(command, stdin=json.dumps(request).encode())
    answers = list(_objects(done.stdout))
    problems = [str(answer["problem"]) for answer in answers if "problem" in answer]
    problems += [f"{answer.get('nodeid')}: {answer['why_not']}" for answer in answers if "why_not" in answer]
    if done.timed_out:
        problems.append("trying them took too long")
    elif not answers:
        problems.append(f"it ended with {done.returncode}: {done.stderr[-500:].decode(errors='replace').strip()}")
    return answers, problems


def most_telling(
    tried: Sequence[tuple[str, W]], name: Callable[[W], str], count: int, least: float = MIN_SHARE
) -> list[tuple[str, W]]:
    """The `count` workloads (with the side they are of) that spend most of their time in changed functions.

    Workloads whose results depend on the work come first, different ones before further parameters of the same `name`.
    A workload that spends less than `least` of its time there is left out, unless all do.
    """
    ranked = sorted(tried, key=lambda item: (not item[1].tells, -round(item[1].share, 1), *_by_length(item[1].seconds)))
    telling = [item for item in ranked if item[1].share >= least] or ranked[:1]
    first: list[tuple[str, W]] = []
    rest: list[tuple[str, W]] = []
    seen: set[str] = set()
    for item in telling:
        (rest if name(item[1]) in seen else first).append(item)
        seen.add(name(item[1]))
    return (first + rest)[:count]


def _by_length(seconds: float) -> tuple[float, float]:
    """Longer ones first, up to LONG_S; beyond it shorter ones."""
    return -min(seconds, LONG_S), seconds


def places_of(answer: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values that a workload sees, by place, from an answer that an arm's process wrote."""
    places = answer.get("places")
    found = places.items() if isinstance(places, dict) else ()
    return {place: [pair[0] is True, pair[1]] for place, pair in found if isinstance(pair, list) and len(pair) == 2}


def seen_alike(places: Mapping[str, list[Any]], others: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The places with the same values in another arm and process."""
    return {
        place: found for place, found in places.items() if place in others and not _differ(found[1], others[place][1])
    }


def _differ(one: Any, other: Any) -> bool:
    try:
        return bool(differs(one, other, ""))
    except (RecursionError, TypeError, ValueError, KeyError, IndexError):
        return True  # an arm wrote it


def joined(*parts: Path) -> str:
    """One text of several that run inside sandboxes."""
    first, *rest = (part.read_text(encoding="utf-8").rstrip() + "\n" for part in parts)
    return "\n\n".join([first, *(text.replace(_FUTURE, "", 1) for text in rest)])


def repeats(seconds: float, target_s: float = EXPERIMENT_S) -> int:
    """Calls that take about `target_s`, as a power of two: a script's text must not follow every tremor of a clock, or
    a run that was killed and goes on would offer the same workload again under another name."""
    wanted = min(MAX_REPEATS, target_s / max(seconds, 1e-7))
    return 2 ** max(0, round(math.log2(max(wanted, 1.0))))


def spans(targets: Mapping[str, Sequence[Place]]) -> dict[str, list[tuple[int, int, str]]]:
    """Changed functions by path, in the form of `watch.py`: first line, last line, name."""
    found: dict[str, list[tuple[int, int, str]]] = {}
    for name, places in targets.items():
        for place in places:
            found.setdefault(place.path, []).append((place.first, place.last, name))
    return found


def best_api(functions: Sequence[str], apis: Sequence[str], text: str = "") -> str:
    """The label of a workload: an API that it was seen executing, else an API that its own text names, else the first
    function that it executed. An API that nobody saw is never a label, because problem statements quote labels.
    """
    executed = {part for function in functions for part in function.partition("::")[2].split(".")}
    for api in apis:
        if api.rsplit(".", 1)[-1] in executed:
            return api
    for api in apis:
        if re.search(rf"(?<!\w){re.escape(api.rsplit('.', 1)[-1])}\s*\(", text):
            return api
    return functions[0]


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
