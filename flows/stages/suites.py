"""The repository's own tests as both flows want them: recorded for commits, held against patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from configs.models import Config, SandboxConfig, SuiteConfig
from flows.engine.run import Run
from storage.tables import Commit, Instance
from tasks.sandbox.models import Arm
from tasks.suites.models import Recorded, Reference
from tasks.suites.stage import check_patch, record_suite, refer_suite

STAGE = "suites"
TESTS = "tests"
"""Name of the arm that has the human's tests, where the human's own arm has base's."""


@dataclass
class CheckedPatches:
    """What is left to be timed, and what is not."""

    arms: dict[str, list[Arm]] = field(default_factory=dict)
    """Instance -> base, human, and patches that pass, or of which no test tells anything."""
    incorrect: dict[str, dict[str, str]] = field(default_factory=dict)
    """Instance -> patch id -> which tests it fails."""
    well_checked: set[str] = field(default_factory=set)
    """Instances of which a test that was run here executes a changed function."""


def record_suites(
    run: Run, config: Config, commits: Sequence[Commit], arms: Mapping[str, Mapping[str, Arm]]
) -> dict[str, Recorded]:
    """Sha -> which of the repository's tests can judge patches to the commit; noted in the funnel."""
    repo = config.repository.name
    found = run.map(
        STAGE,
        record_suite,
        {
            c.sha: {
                "repo": repo, "sha": c.sha, "functions_changed": c.functions_changed, "base": arms[c.sha]["base"],
                "human": arms[c.sha]["human"], "suite": config.suite, "sandbox": config.sandbox,
            }
            for c in commits
        },
        repo=repo,
    )  # fmt: skip
    for sha, recorded in found.items():
        weakly = "weakly_checked: " if recorded.weakly_checked else ""
        run.note(STAGE, sha, "kept", weakly + recorded.reason, repo=repo)
    return found


def check_patches(
    run: Run,
    instances: Sequence[Instance],
    arms: Mapping[str, Sequence[Arm]],
    suite: SuiteConfig,
    sandbox: SandboxConfig,
) -> CheckedPatches:
    """Run each instance's tests on its patches. A patch that fails is not timed, one that met a fault neither."""
    named = {key: {arm.name: arm for arm in found} for key, found in arms.items()}
    tests_from = {key: found.pop(TESTS, found["human"]) for key, found in named.items()}
    result = CheckedPatches({key: list(found.values()) for key, found in named.items()})
    rows = {row.instance_id: row for row in instances if row.instance_id in named and row.pass_to_pass}
    if not suite.check_s:
        return result
    references = _refer(run, rows, named, tests_from, suite, sandbox)
    wanted = {
        f"{key} {arm.name}": (key, arm)
        for key in references
        for arm in result.arms[key]
        if arm.name.startswith("patch:")
    }
    checks = run.map(
        STAGE,
        check_patch,
        {
            item: {
                "repo": rows[key].repo, "patch": arm, "tests_from": tests_from[key], "reference": references[key],
                "suite": suite, "sandbox": sandbox,
            }
            for item, (key, arm) in wanted.items()
        },
    )  # fmt: skip
    for item, (key, arm) in wanted.items():
        checked = checks.get(item)
        if checked is not None:
            run.note(STAGE, item, "dropped" if checked.correct is False else "kept", checked.reason)
        if checked is not None and checked.correct is False:
            result.incorrect.setdefault(key, {})[arm.name.removeprefix("patch:")] = checked.reason
        if checked is None or checked.correct is False:
            result.arms[key].remove(arm)
    for key in [key for key, found in result.arms.items() if key in references and len(found) <= 2]:
        del result.arms[key]  # no patch is left that could be timed
    result.well_checked = {key for key, reference in references.items() if _checks_change(rows[key], reference)}
    return result


def _checks_change(row: Instance, reference: Reference) -> bool:
    """Whether a test that passes here executes the change; where nobody can see that, whether any test does."""
    return bool(reference.of_change if row.tests_of_change else not row.weakly_checked)


def _refer(
    run: Run,
    rows: Mapping[str, Instance],
    arms: Mapping[str, Mapping[str, Arm]],
    tests_from: Mapping[str, Arm],
    suite: SuiteConfig,
    sandbox: SandboxConfig,
) -> dict[str, Reference]:
    """Instance -> its tests as the human's code passes them here; without those of which none passes."""
    found = run.map(
        STAGE,
        refer_suite,
        {
            key: {
                "instance_id": key, "tests": row.pass_to_pass, "tests_of_change": row.tests_of_change,
                "human": arms[key]["human"], "tests_from": tests_from[key], "suite": suite, "sandbox": sandbox,
            }
            for key, row in rows.items()
        },
    )  # fmt: skip
    for key, reference in found.items():
        lost = f"{reference.not_passing} of its tests do not pass here" if reference.not_passing else ""
        run.note(STAGE, key, "kept" if reference.tests else "dropped", reference.reason or lost)
    return {key: reference for key, reference in found.items() if reference.tests}
