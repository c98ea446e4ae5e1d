"""From the repository's tests to scripts: read which may fit, try them on base, make scripts of the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.models import PerfTestConfig
from storage.tables import Commit
from tasks.code.python import lines_of
from tasks.perftests.models import Proposal
from tasks.perftests.sources.pytest.candidates import Candidate, find_candidates, is_test_file
from tasks.perftests.sources.pytest.suite import Suite, SuiteTooLarge, build_suite, has_test
from tasks.perftests.sources.workloads import (
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
DISCOVERY_BYTES = 4_000_000


@dataclass(frozen=True)
class Tried(Workload):
    """A test that passed every time; its call is that of its body."""

    candidate: Candidate
    nodeid: str


def from_tests(
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
    """Scripts of the repository's own tests, most time in the changed functions first.

    A test is taken as it stands on base; one that exists only on human as it stands there. What it sees of the changed
    functions is compared where base gives it again and human gives the same. Raises NothingFound with the reason.
    """
    checkouts = {"base": work / base.checkout, "human": work / human.checkout}
    targets = locate(commit.functions_changed, checkouts["base"])
    if not targets:
        raise NothingFound("no changed function exists on base in Python, so no test can be seen executing one")
    changed_tests = [path for path in commit.files if is_test_file(path)] + _paths_of(commit.test_patch)
    found = find_candidates(checkouts["human"], commit.functions_changed, apis, changed_tests)
    known = {(item.path, item.name) for item in found}
    for item in find_candidates(checkouts["base"], commit.functions_changed, apis, changed_tests):
        if (item.path, item.name) not in known:
            found.append(item)
    if not found:
        raise NothingFound("no test mentions a changed function or an API that reaches one")
    by_side: dict[str, list[Candidate]] = {"base": [], "human": []}
    for item in found:
        by_side["base" if has_test(checkouts["base"], item.path, item.name) else "human"].append(item)
    tried: list[tuple[str, Tried]] = []
    problems: list[str] = []
    suites: dict[str, Suite] = {}
    for side, candidates in by_side.items():
        if candidates:
            suite, kept = _suite_of(candidates, checkouts[side])
            suites[side] = suite
            question = {"files": suite.files, "packages": suite.packages, "nodeids": [item.nodeid for item in kept]}
            answers, why = try_inside(INSIDE, question, targets, config, sandbox, base, work, limits)
            tried.extend((side, item) for item in _passed(answers, kept))
            problems.extend(why)
    if not tried:
        raise NothingFound(
            f"{len(found)} tests mention the change, none executes a changed function on base, passes and can be "
            f"repeated: {'; '.join(problems[:5]) or 'they do not reach it'}"
        )
    wanted = most_telling(tried, _name, LOOKED_AT * config.tests_per_commit)
    alike: list[tuple[str, Tried]] = []
    for side, suite in suites.items():
        mine = [test for of, test in wanted if of == side]
        question = {"files": suite.files, "packages": suite.packages, "nodeids": [test.nodeid for test in mine]}
        answers, _ = try_inside(INSIDE, question, {}, config, sandbox, human, work, limits) if mine else ([], [])
        seen = {answer.get("nodeid"): places_of(answer) for answer in answers}
        alike += [(side, replace(test, places=seen_alike(test.places, seen.get(test.nodeid, {})))) for test in mine]
    proposals = []
    for side, test in most_telling(alike, _name, config.tests_per_commit):
        try:
            script = make_script(test, checkouts[side], commit, side)
        except SuiteTooLarge:
            continue
        api = best_api(test.functions, apis)
        proposals.append(Proposal(test.nodeid, api, script, source="pytest", results_compared=test.tells))
    if not proposals:
        raise NothingFound("the tests that execute the change need too many helper files")
    return proposals


def make_script(item: Tried, checkout: Path, commit: Commit, side: str) -> str:
    """A perf test in the `isobench` dialect: the workload's text, then the test's files. Raises SuiteTooLarge."""
    suite = build_suite(checkout, {item.candidate.path: {item.candidate.name}})
    number = repeats(item.seconds)
    sha = commit.parent_sha if side == "base" else commit.sha
    lines = [
        joined(*SEEING, INSIDE / "workload.py"),
        "",
        "",
        f"# {item.nodeid} as of {(sha or 'base')[:12]}: about {round(item.share, 1):.0%} of it in changed code on base",
        f"NODEID = {item.nodeid!r}",
        f"NUMBER = {number}",
        f"PLACES += {sorted(item.places)!r}",
        *(f"PACKAGES.append({package!r})" for package in suite.packages),
        *(f"FILES[{path!r}] = {literal(text)}" for path, text in sorted(suite.files.items())),
    ]
    return "\n".join(lines) + "\n"


def _name(test: Tried) -> str:
    return test.candidate.nodeid


def _passed(answers: list[dict[str, Any]], candidates: list[Candidate]) -> list[Tried]:
    """Tests that discovery found to fit."""
    by_id = {item.nodeid: item for item in candidates}
    found = [(by_id.get(str(answer.get("nodeid", "")).partition("[")[0]), answer) for answer in answers]
    return [
        Tried(answer["functions"], answer["share"], answer["seconds"], places_of(answer), candidate, answer["nodeid"])
        for candidate, answer in found
        if candidate is not None and answer.get("functions")
    ]


def _suite_of(candidates: list[Candidate], checkout: Path) -> tuple[Suite, list[Candidate]]:
    """One suite for as many candidates as fit, best first."""
    kept = list(candidates)
    while True:
        tests: dict[str, set[str] | None] = {}
        for item in kept:
            names = tests.setdefault(item.path, set())
            assert names is not None
            names.add(item.name)
        try:
            return build_suite(checkout, tests, DISCOVERY_BYTES), kept
        except SuiteTooLarge:
            if len(tests) <= 1:
                raise NothingFound("the tests that mention the change need too many helper files") from None
            last = kept[-1].path
            kept = [item for item in kept if item.path != last]


def _paths_of(patch: str) -> list[str]:
    return [line[6:].strip() for line in lines_of(patch) if line.startswith("+++ b/")]
