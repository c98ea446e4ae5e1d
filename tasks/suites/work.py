"""What the doors do: trees of code and tests, a sandbox around them, rows of what came out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from configs.models import SandboxConfig, SuiteConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Suite, SuiteCheck
from tasks.own_pytest import tools_folder
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.foreign_folders import remove
from tasks.sandbox.models import Arm
from tasks.suites.checking import check, refer
from tasks.suites.models import Checked, Recorded, Reference
from tasks.suites.recording import Recording, record
from tasks.suites.running import Place
from tasks.suites.session import SuiteError
from tasks.suites.tree import added_modules, make_tree

FLAKY_NAMED = 100


@contextmanager
def place_in(sandbox: SandboxConfig, work: Path) -> Iterator[Place]:
    """A sandbox to run tests in. Raises SandboxError."""
    with open_sandbox(sandbox) as opened:
        yield Place(opened, work, limits_of(sandbox), tools_folder(work))


@contextmanager
def with_tests_of(arm: Arm, tests_from: Arm, work: Path) -> Iterator[Arm]:
    """The arm with the tests of another checkout; its folder goes with the block. Raises OSError."""
    folder = work / "suites" / f"{arm.arm_id}-{uuid.uuid4().hex[:8]}"
    try:
        make_tree(work / arm.checkout, work / tests_from.checkout, folder)
        yield arm.model_copy(update={"checkout": str(folder.relative_to(work))})
    finally:
        with suppress(OSError):
            remove(folder)


def record_suite(
    repo: str,
    sha: str,
    functions_changed: Sequence[str],
    base: Arm,
    human: Arm,
    suite: SuiteConfig,
    sandbox: SandboxConfig,
    store: Store,
) -> Recorded:
    """See `stage.record_suite`."""
    if not suite.record_s:
        return Recorded(sha=sha, suite_id=None, weakly_checked=True, reason="not looked for: suite.record_s is 0")
    work = store.work
    problem = ""
    try:
        with (
            place_in(sandbox, work) as place,
            with_tests_of(base, human, work) as base_tree,
            with_tests_of(human, human, work) as human_tree,
        ):
            found = record(place, base_tree, human_tree, functions_changed, suite.record_s)
    except SuiteError as error:
        found, problem = Recording(), str(error)
    suite_id = content_hash("suite", repo, sha, base.arm_id, human.arm_id, sandbox.kind)
    weakly = not (found.of_change if found.seen else found.pass_to_pass)
    row = Suite(
        suite_id=suite_id,
        repo=repo,
        sha=sha,
        sandbox=sandbox.kind,
        pass_to_pass=found.pass_to_pass,
        tests_of_change=found.of_change,
        fail_to_pass=found.fail_to_pass,
        seconds=found.seconds,
        collected=found.collected,
        suite_share=found.share,
        flaky=len(found.flaky),
        flaky_tests=found.flaky[:FLAKY_NAMED],
        not_reached=found.not_reached,
        uncovered_functions=found.uncovered,
        weakly_checked=weakly,
        reason=problem or describe(found),
    )
    store.append([row])
    return Recorded(sha=sha, suite_id=suite_id, weakly_checked=weakly, reason=row.reason)


def describe(found: Recording) -> str:
    """A recording in one line."""
    if not found.collected:
        return "no test is collected" + (f": {found.errors[0]}" if found.errors else "")
    if found.seen:
        change = f"{found.of_change} of them execute the change"
    else:
        change = "no changed function is Python, so nobody sees which execute the change"
    parts = [
        f"{len(found.pass_to_pass)} of {found.collected} tests pass on base and human, {change}",
        f"{len(found.flaky)} flaky" if found.flaky else "",
        f"{found.not_reached} not reached" if found.not_reached else "",
        f"{len(found.uncovered)} changed functions uncovered" if found.uncovered else "",
    ]
    return "; ".join(filter(None, parts))


def refer_suite(
    instance_id: str,
    tests: Sequence[str],
    tests_of_change: int,
    human: Arm,
    tests_from: Arm,
    suite: SuiteConfig,
    sandbox: SandboxConfig,
    store: Store,
) -> Reference:
    """See `stage.refer_suite`."""
    work = store.work
    try:
        with place_in(sandbox, work) as place, with_tests_of(human, tests_from, work) as tree:
            return refer(place, instance_id, tree, tests, tests_of_change, suite.check_s)
    except SuiteError as error:
        return Reference(instance_id=instance_id, not_passing=len(tests), reason=str(error))


def check_patch(
    repo: str,
    patch: Arm,
    tests_from: Arm,
    reference: Reference,
    suite: SuiteConfig,
    sandbox: SandboxConfig,
    store: Store,
) -> Checked:
    """See `stage.check_patch`. Raises SuiteError too: what runs tests on the human's code runs them on any."""
    work = store.work
    added = added_modules(work / patch.checkout, work / tests_from.checkout, patch.import_paths)
    with place_in(sandbox, work) as place, with_tests_of(patch, tests_from, work) as tree:
        checked, tally = check(place, tree, reference, added, suite.check_s)
    row = SuiteCheck(
        instance_id=reference.instance_id,
        arm_id=patch.arm_id,
        repo=repo,
        patch_id=patch.patch_id,
        sandbox=sandbox.kind,
        correct=checked.correct,
        reason=checked.reason,
        tests=tally.total,
        passed=tally.passed,
        failed=list(tally.failed),
        not_run=tally.not_run,
        canaries=tally.canaries,
        duration_s=round(tally.seconds, 3),
    )
    store.append([row])
    return checked
