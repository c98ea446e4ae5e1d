"""From the repository's benchmarks to scripts: find them, try them on base under watch, make scripts of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.models import PerfTestConfig
from storage.tables import Commit
from tasks.perftests.models import Proposal
from tasks.perftests.sources.asv.files import UNTIMED, Suite, find_suite, hints, names_in, why_none
from tasks.perftests.sources.pytest.candidates import names_of
from tasks.perftests.sources.workloads import (
    EXPERIMENT_S,
    LOOKED_AT,
    SEEING,
    NothingFound,
    Workload,
    best_api,
    joined,
    literal,
    most_telling,
    places_of,
    repeats,
    seen_alike,
    try_inside,
)
from tasks.perftests.targets import locate
from tasks.sandbox.models import Arm, Limits, Sandbox

INSIDE = Path(__file__).parent / "inside"
SETUP_S = 2.0
"""Time that preparing the copies of one experiment may take."""
MAX_COPIES = 100


@dataclass(frozen=True)
class Tried(Workload):
    """A benchmark with one combination of parameters."""

    name: str
    """`module:function` or `module:Class.method`."""
    combination: int
    label: str
    """Its parameters."""
    setup_s: float
    limit: int
    """Calls per setup at most; 0: any number."""


def from_benchmarks(
    commit: Commit,
    apis: Sequence[str],
    config: PerfTestConfig,
    *,
    sandbox: Sandbox,
    work: Path,
    base: Arm,
    human: Arm,
    limits: Limits,
) -> list[Proposal]:
    """Scripts of the repository's benchmarks, most time in the changed functions first.

    The text of a benchmark is base's; of a benchmark that exists only on human, human's. Results are compared where
    base gives the same result again and human gives it too. Raises NothingFound with the reason.
    """
    targets = locate(commit.functions_changed, work / base.checkout)
    if not targets:
        raise NothingFound("no changed function exists on base in Python, so no benchmark can be seen executing one")
    sides = {"base": find_suite(work / base.checkout), "human": find_suite(work / human.checkout)}
    known = {item[:2] for item in names_in(sides["base"])} if sides["base"] else set()
    words = names_of(commit.functions_changed, apis)
    tried: list[tuple[str, Tried]] = []
    problems: list[str] = []
    for side, suite in sides.items():
        if suite is None:
            continue
        new = {module for module, name, _ in names_in(suite) if (module, name) not in known}
        if side == "human" and not new:
            continue
        scores = hints(suite, words)
        question = {
            "files": suite.files,
            "package": suite.package,
            "modules": _modules(suite, words, new if side == "human" else None),
            "hints": scores,
        }
        answers, why = try_inside(INSIDE, question, targets, config, sandbox, base, work, limits)
        found = [_tried(answer) for answer in answers if answer.get("functions")]
        tried += [(side, one) for one in found if side == "base" or not _is_known(one, known)]
        problems += why
        problems += _untimed(suite, scores)
    if not any(sides.values()):
        raise NothingFound(why_none(work / base.checkout))
    if not tried:
        raise NothingFound(
            f"no benchmark executes a changed function on base within its limits: {'; '.join(problems[:5]) or 'none'}"
        )
    wanted = most_telling(tried, _name, LOOKED_AT * config.tests_per_commit)
    alike: list[tuple[str, Tried]] = []
    for side, suite in sides.items():
        mine = [one for of, one in wanted if of == side]
        if suite is None or not mine:
            continue
        chosen = [(one.name, one.combination) for one in mine]
        again = {"files": suite.files, "package": suite.package, "chosen": chosen}
        answers, _ = try_inside(INSIDE, again, {}, config, sandbox, human, work, limits)
        seen = {(answer.get("name"), answer.get("combination")): places_of(answer) for answer in answers}
        alike += [
            (side, replace(one, places=seen_alike(one.places, seen.get((one.name, one.combination), {}))))
            for one in mine
        ]
    proposals = []
    for side, one in most_telling(alike, _name, config.tests_per_commit):
        suite = sides[side]
        assert suite is not None
        script = make_script(one, suite, (commit.parent_sha if side == "base" else commit.sha) or side, config)
        name = f"{one.name}({one.label})" if one.label else one.name
        api = best_api(one.functions, apis)
        proposals.append(Proposal(name, api, script, source="asv", results_compared=one.tells))
    return proposals


def make_script(one: Tried, suite: Suite, sha: str, config: PerfTestConfig) -> str:
    """A perf test in the `isobench` dialect: the workload's text, then the benchmark's files and parameters."""
    target_s = min(max(EXPERIMENT_S, 3 * config.min_duration_s), config.max_duration_s / 2)
    wanted = repeats(one.seconds, target_s)
    number = min(wanted, one.limit) if one.limit else wanted
    affordable = int(SETUP_S / max(one.setup_s, 1e-6))
    copies = max(1, min(math.ceil(wanted / number), MAX_COPIES, affordable)) if one.limit else 1
    module = one.name.partition(":")[0]
    lines = [
        joined(*SEEING, INSIDE / "workload.py"),
        "",
        "",
        f"# {one.name}({one.label}) as of {sha[:12]}: about {round(one.share, 1):.0%} of it in changed code on base",
        f"PACKAGE = {suite.package!r}",
        f"BENCHMARK = {one.name!r}",
        f"COMBINATION = {one.combination}",
        f"NUMBER = {number}",
        f"COPIES = {copies}",
        f"PLACES += {sorted(one.places)!r}",
        *(f"FILES[{path!r}] = {literal(text)}" for path, text in sorted(suite.needed_by(module).items())),
    ]
    return "\n".join(lines) + "\n"


def _modules(suite: Suite, words: dict[str, float], only: set[str] | None) -> list[str]:
    """Modules with benchmarks, those that mention most of the names first."""
    scores: dict[str, float] = {}
    for module, path in suite.modules().items():
        if f"def {'time_'}" in suite.files[path] and (only is None or module in only):
            scores[module] = sum(weight for word, weight in words.items() if word in suite.files[path])
    return sorted(scores, key=lambda module: (-scores[module], module))


def _untimed(suite: Suite, scores: dict[str, float]) -> list[str]:
    """What is said about benchmarks that measure something else than time, and mention the change."""
    kinds = sorted({name for name in scores if name.startswith(UNTIMED) and scores[name] > 0})
    return [f"{', '.join(kinds[:3])}: only time is measured here, not memory or tracked values"] if kinds else []


def _tried(answer: dict[str, Any]) -> Tried:
    return Tried(
        name=str(answer["name"]),
        combination=int(answer["combination"]),
        label=str(answer["label"]),
        functions=list(answer["functions"]),
        share=float(answer["share"]),
        seconds=float(answer["seconds"]),
        setup_s=float(answer["setup_s"]),
        limit=int(answer["limit"]),
        places=places_of(answer),
    )


def _name(one: Tried) -> str:
    return one.name


def _is_known(one: Tried, known: set[tuple[str, str]]) -> bool:
    module, _, name = one.name.partition(":")
    return (module, name) in known
