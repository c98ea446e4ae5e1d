"""From the repository's tests to scripts: read which may fit, try them on base, make scripts of the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.models import PerfTestConfig
from storage.tables import Commit
from tasks.perftests.changed import Place, locate
from tasks.perftests.models import Proposal
from tasks.perftests.pytest_source.candidates import Candidate, find_candidates, is_test_file
from tasks.perftests.pytest_source.suite import Suite, SuiteTooLarge, build_suite, has_test
from tasks.perftests.trying import (
    ALL_TESTS_S,
    MIN_SHARE,
    TEST_S,
    NothingFound,
    best_api,
    literal,
    repeats,
    spans,
    try_inside,
)
from tasks.sandbox.models import ARM_DIR, Arm, Limits, Sandbox

HERE = Path(__file__).parent
DISCOVERY_BYTES = 4_000_000


@dataclass(frozen=True)
class Tried:
    """A test that passed on base again and again while it executed changed functions."""

    candidate: Candidate
    nodeid: str
    functions: list[str]
    share: float
    """Share of the test's time inside the changed functions, from 0 to 1."""
    seconds: float
    """One call of its body."""


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

    A test is taken as it stands on base; one that exists only on human as it stands there. Raises NothingFound with
    the reason.
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
    for side, candidates in by_side.items():
        if candidates:
            request = _request(candidates, checkouts[side], targets, config)
            passed, why = _try(
                request, candidates, sandbox, base, work, limits.model_copy(update={"timeout_s": config.gate_timeout_s})
            )
            tried.extend((side, item) for item in passed)
            problems.extend(why)
    if not tried:
        raise NothingFound(
            f"{len(found)} tests mention the change, none executes a changed function on base, passes and can be "
            f"repeated: {'; '.join(problems[:5]) or 'they do not reach it'}"
        )
    tried.sort(key=lambda item: (-round(item[1].share, 1), -item[1].seconds))
    telling = [item for item in tried if item[1].share >= MIN_SHARE] or tried[:1]
    proposals = []
    for side, test in _spread(telling)[: config.tests_per_commit]:
        try:
            script = make_script(test, checkouts[side], commit, side)
        except SuiteTooLarge:
            continue
        proposals.append(Proposal(test.nodeid, best_api(test.functions, apis), script, source="pytest"))
    if not proposals:
        raise NothingFound("the tests that execute the change need too many helper files")
    return proposals


def make_script(item: Tried, checkout: Path, commit: Commit, side: str) -> str:
    """A perf test in the `isobench` dialect: the workload's text, then the test's files. Raises SuiteTooLarge."""
    suite = build_suite(checkout, {item.candidate.path: {item.candidate.name}})
    number = repeats(item.seconds)
    sha = commit.parent_sha if side == "base" else commit.sha
    lines = [
        (HERE / "workload.py").read_text(encoding="utf-8").rstrip(),
        "",
        "",
        f"# {item.nodeid} as of {(sha or 'base')[:12]}: about {round(item.share, 1):.0%} of it in changed code on base",
        f"NODEID = {item.nodeid!r}",
        f"NUMBER = {number}",
        *(f"PACKAGES.append({package!r})" for package in suite.packages),
        *(f"FILES[{path!r}] = {literal(text)}" for path, text in sorted(suite.files.items())),
    ]
    return "\n".join(lines) + "\n"


def _request(
    candidates: list[Candidate], checkout: Path, targets: dict[str, list[Place]], config: PerfTestConfig
) -> dict[str, Any]:
    """What `discovery.py` is asked."""
    suite, kept = _suite_of(candidates, checkout)
    return {
        "files": suite.files,
        "packages": suite.packages,
        "nodeids": [item.nodeid for item in kept],
        "targets": spans(targets),
        "root": ARM_DIR,
        "test_s": min(TEST_S, config.max_duration_s),
        "total_s": min(ALL_TESTS_S, config.gate_timeout_s * 0.8),
    }


def _try(
    request: dict[str, Any], candidates: list[Candidate], sandbox: Sandbox, base: Arm, work: Path, limits: Limits
) -> tuple[list[Tried], list[str]]:
    """Run candidates in the base arm under watch. Returns those that fit, and why others do not."""
    parts = (HERE / "workload.py", HERE.parent / "watch.py", HERE / "discovery.py")
    program = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    answers, problems = try_inside(program, request, sandbox, base, work, limits)
    by_id = {item.nodeid: item for item in candidates}
    passed = []
    for answer in answers:
        candidate = by_id.get(str(answer.get("nodeid", "")).partition("[")[0])
        if candidate is not None and answer.get("functions"):
            passed.append(Tried(candidate, answer["nodeid"], answer["functions"], answer["share"], answer["seconds"]))
    return passed, problems


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


def _spread(tried: list[tuple[str, Tried]]) -> list[tuple[str, Tried]]:
    """Different tests before further parameters of the same test, in the given order."""
    first: list[tuple[str, Tried]] = []
    rest: list[tuple[str, Tried]] = []
    seen: set[str] = set()
    for item in tried:
        (rest if item[1].candidate.nodeid in seen else first).append(item)
        seen.add(item[1].candidate.nodeid)
    return first + rest


def _paths_of(patch: str) -> list[str]:
    return [line[6:].strip() for line in patch.splitlines() if line.startswith("+++ b/")]
