"""From the repository's tests to scripts: find candidates by reading, try them on base, make scripts of the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.models import PerfTestConfig
from storage.tables import Commit
from tasks.code.native import grammar_of
from tasks.code.paths import is_test_module
from tasks.perftests.coverage import changed_lines
from tasks.perftests.models import Proposal
from tasks.perftests.sources.pytest import growing
from tasks.perftests.sources.pytest.candidates import Candidate, find_candidates, is_benchmark_file
from tasks.perftests.sources.pytest.sizes import has_version, version_of
from tasks.perftests.sources.pytest.suite import Suite, SuiteTooLarge, build_suite, has_test, text_of
from tasks.perftests.sources.workloads import (
    LOOKED_AT,
    MIN_SHARE,
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
from tasks.perftests.targets import Place, locate, read_source
from tasks.sandbox.models import Arm, Limits, Sandbox

INSIDE = Path(__file__).parent / "inside"
DISCOVERY_BYTES = 4_000_000
OFFERED = 2
"""Scripts offered to the gates for each that is wanted: the screen chooses among them."""
SHORT_S, VERY_SHORT_S = 0.05, 0.0005
"""Tests that take less are also tried with ten times, and a hundred times, the input."""
ENLARGED, REDUCED = 3, 3
"""Tests that are tried with more input, and with less."""


@dataclass(frozen=True)
class Tried(Workload):
    """A test that passed every time; its call is that of its body."""

    candidate: Candidate
    nodeid: str
    traced: bool = True
    """False: nothing that changed is Python, so `share` only says how well its names fit."""


@dataclass
class Trial:
    """The tests of one commit while they are tried."""

    commit: Commit
    apis: Sequence[str]
    config: PerfTestConfig
    sandbox: Sandbox
    work: Path
    base: Arm
    human: Arm
    limits: Limits
    targets: Mapping[str, Sequence[Place]]
    """Changed functions that can be traced on base; empty for compiled code."""

    def __post_init__(self) -> None:
        """Nothing is tried yet."""
        self.checkouts = {"base": self.work / self.base.checkout, "human": self.work / self.human.checkout}
        self.tried: list[tuple[str, Tried]] = []
        self.problems: list[str] = []

    def candidates(self) -> dict[str, list[Candidate]]:
        """Tests that may execute the change, by the side whose text is taken. Raises NothingFound."""
        commit = self.commit
        patched = {**changed_lines(commit.patch, "human"), **changed_lines(commit.test_patch, "human")}
        written = {path: lines for path, lines in patched.items() if is_test_module(path) or is_benchmark_file(path)}
        changed_tests = list(written)
        found: dict[tuple[str, str], Candidate] = {}
        for side, touched in (("human", written), ("base", {})):
            places = {path: set(lines) for path, lines in touched.items()}
            changed = commit.functions_changed or [f"{path}::<module>" for path in commit.files]
            for item in find_candidates(self.checkouts[side], changed, self.apis, changed_tests, places):
                found.setdefault((item.path, item.name), item)
        if not found:
            raise NothingFound(
                "no test mentions a changed function, an API that reaches one, a changed module or the package: "
                "write one (perf_tests.seeded), or configure a model (section llm)"
            )
        by_side: dict[str, list[Candidate]] = {"base": [], "human": []}
        for item in found.values():
            by_side["base" if has_test(self.checkouts["base"], item.path, item.name) else "human"].append(item)
        return by_side

    def try_on_base(self, side: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Run them; those that fit are in `tried`. Returns those that took too long."""
        suite, kept = suite_of(list(candidates), self.checkouts[side])
        untraced = not self.targets
        answers, why = self._ask(suite, [item.nodeid for item in kept], self.base, self.targets, untraced)
        self.problems += why
        by_id = {item.nodeid: item for item in kept}
        slow = []
        for answer in answers:
            candidate = by_id.get(str(answer.get("nodeid", "")).partition("[")[0])
            if candidate is None:
                continue
            if answer.get("slow"):
                slow.append(candidate)
            elif untraced and "seconds" in answer:
                share = max(MIN_SHARE, 1 - 0.1 * kept.index(candidate))
                functions = [*self.apis[:1], *self.commit.functions_changed[:1], candidate.nodeid][:1]
                found = Tried(
                    functions, share, answer["seconds"], places_of(answer), candidate, answer["nodeid"], False
                )
                self.tried.append((side, found))
            elif answer.get("functions"):
                found = Tried(
                    answer["functions"], answer["share"], answer["seconds"], places_of(answer), candidate,
                    answer["nodeid"],
                )  # fmt: skip
                self.tried.append((side, found))
        return slow

    def try_other_sizes(self, slow: Mapping[str, list[Candidate]]) -> None:
        """The best short tests with more input, and those that took too long with less."""
        versions: dict[str, list[Candidate]] = {"base": [], "human": []}
        for side, candidates in slow.items():
            for item in dict.fromkeys(candidates[:REDUCED]):
                versions[side] += [
                    replace(item, name=f"{item.name}__{factor}") for factor in ("by_100", "by_30", "by_10")
                ]
        short = [item for item in self.tried if item[1].seconds < SHORT_S]
        for side, test in most_telling(short, test_of, ENLARGED, least=0.0):  # with more input the share may grow, too
            factors = ["times_10"] if test.seconds > VERY_SHORT_S else ["times_10", "times_100"]
            factors += [] if is_benchmark_file(test.candidate.path) else growing.FACTORS
            versions[side] += [replace(test.candidate, name=f"{test.candidate.name}__{of}") for of in factors]
        for side, candidates in versions.items():
            scalable = [item for item in candidates if self._has_sizes(side, item)]
            tests = [item for item in scalable if not is_benchmark_file(item.path)]
            if tests:
                self.try_on_base(side, tests)
            for item in scalable:
                if is_benchmark_file(item.path):  # one version at a time
                    self.try_on_base(side, [item])

    def _has_sizes(self, side: str, version: Candidate) -> bool:
        test = version_of(version.name)[0]
        if is_benchmark_file(version.path):
            as_it_is = text_of(self.checkouts[side], version.path, {test})
            return text_of(self.checkouts[side], version.path, {version.name}) != as_it_is
        return has_version(read_source(self.checkouts[side], version.path), version.name)

    def seen_on_human(self, wanted: Sequence[tuple[str, Tried]]) -> list[tuple[str, Tried]]:
        """The tests with the places that come to the same on human."""
        found: list[tuple[str, Tried]] = []
        for side, mine in _batches(wanted):
            suite, _ = suite_of([test.candidate for test in mine], self.checkouts[side])
            answers, _ = self._ask(suite, [test.nodeid for test in mine], self.human, {}, False)
            seen = {answer.get("nodeid"): places_of(answer) for answer in answers}
            found += [(side, replace(test, places=seen_alike(test.places, seen.get(test.nodeid, {})))) for test in mine]
        return found

    def _ask(
        self, suite: Suite, nodeids: list[str], arm: Arm, targets: Mapping[str, Sequence[Place]], untraced: bool
    ) -> tuple[list[dict[str, Any]], list[str]]:
        question = {"files": suite.files, "packages": suite.packages, "nodeids": nodeids, "untraced": untraced}
        answers, why = try_inside(INSIDE, question, targets, self.config, self.sandbox, arm, self.work, self.limits)
        by_test: dict[Any, dict[str, Any]] = {}
        for answer in answers:  # a test's second answer adds what it sees
            by_test[answer.get("nodeid")] = {**by_test.get(answer.get("nodeid"), {}), **answer}
        return list(by_test.values()), why


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
    compare: bool = True,
) -> list[Proposal]:
    """Scripts of the repository's own tests, most time in the changed functions first: OFFERED times as many as wanted.

    The text of a test is base's; of a test that exists only on human, human's. Values that the test sees of the changed
    functions are compared where base gives them again and human gives the same. Assertions about time are removed, and
    short or long tests are tried with more or less input. Where only compiled code changed, tests are chosen by the
    names that they mention. Without `compare` no values are compared, and only the tests' own asserts count.
    Raises NothingFound with the reason.
    """
    targets = locate(commit.functions_changed, work / base.checkout)
    if not targets and not any(is_compiled(path) for path in commit.files):
        names = ", ".join(commit.functions_changed[:3]) or "nothing but module code"
        raise NothingFound(
            f"no changed function exists on base in Python, so no test can be seen executing one: {names}"
        )
    trial = Trial(commit, apis, config, sandbox, work, base, human, limits, targets)
    by_side = trial.candidates()
    slow = {side: trial.try_on_base(side, found) for side, found in by_side.items() if found}
    trial.try_other_sizes(slow)
    if not trial.tried:
        number = sum(map(len, by_side.values()))
        raise NothingFound(
            f"{number} tests mention the change, none executes a changed function on base, passes and can be "
            f"repeated: {'; '.join(trial.problems[:5]) or 'they do not reach it'}"
        )
    wanted = most_telling(trial.tried, test_of, max(LOOKED_AT, OFFERED) * config.tests_per_commit)
    seen = trial.seen_on_human(wanted) if compare else [(side, replace(test, places={})) for side, test in wanted]
    proposals = []
    for side, test in most_telling(seen, test_of, OFFERED * config.tests_per_commit):
        try:
            script = make_script(test, trial.checkouts[side], commit, side)
        except SuiteTooLarge:
            continue
        own = text_of(trial.checkouts[side], test.candidate.path, {test.candidate.name})
        api = best_api(test.functions, apis, own)
        proposals.append(Proposal(test.nodeid, api, script, source="pytest", results_compared=test.tells))
    if not proposals:
        raise NothingFound("the tests that execute the change need too many helper files")
    return proposals


def make_script(item: Tried, checkout: Path, commit: Commit, side: str) -> str:
    """A perf test in the `isobench` dialect: the workload's text, then the test's files. Raises SuiteTooLarge."""
    suite = build_suite(checkout, {item.candidate.path: {item.candidate.name}})
    number = repeats(item.seconds)
    sha = commit.parent_sha if side == "base" else commit.sha
    share = f"about {round(item.share, 1):.0%} of it in changed code on base" if item.traced else "of compiled code"
    lines = [
        joined(*SEEING, INSIDE / "workload.py"),
        "",
        "",
        f"# {item.nodeid} as of {(sha or 'base')[:12]}: {share}",
        f"NODEID = {item.nodeid!r}",
        f"NUMBER = {number}",
        f"PLACES += {sorted(item.places)!r}",
        *(f"PACKAGES.append({package!r})" for package in suite.packages),
        *(f"FILES[{path!r}] = {literal(text)}" for path, text in sorted(suite.files.items())),
    ]
    return "\n".join(lines) + "\n"


def _batches(tests: Sequence[tuple[str, Tried]]) -> list[tuple[str, list[Tried]]]:
    """Tests that fit into one suite, by side: a file of benchmarks is there in one version."""
    found: dict[tuple[str, str], list[Tried]] = {}
    for side, test in tests:
        version = test.candidate.nodeid if is_benchmark_file(test.candidate.path) else ""
        found.setdefault((side, version), []).append(test)
    return [(side, mine) for (side, _), mine in found.items()]


def test_of(test: Tried) -> str:
    """The test that a workload is a version or a parameter of; with repeated input it counts as another."""
    name, factor = version_of(test.candidate.name)
    return f"{test.candidate.path}::{name}{'__grown' if factor in growing.FACTORS else ''}"


def is_compiled(path: str) -> bool:
    """Whether a file is compiled code: in a language that Python calls through a binding, or Cython."""
    return grammar_of(path) not in (None, "python")


def suite_of(candidates: list[Candidate], checkout: Path) -> tuple[Suite, list[Candidate]]:
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
