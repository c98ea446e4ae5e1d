"""The repository's own tests as both flows want them: recorded for commits, held against patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from configs.models import Config, SandboxConfig, SuiteConfig
from flows.engine.run import Run
from flows.stages.environments import arms_of
from flows.stages.handed_on import commits_of, faster
from flows.stages.of_dataset import dataset_stage
from storage.tables import Instance
from tasks.sandbox.models import Arm
from tasks.suites.models import Reference
from tasks.suites.stage import check_patch, record_suite, refer_suite

STAGE = "suites"
TESTS = "tests"
"""Name of the arm that has the human's tests, where the human's own arm has base's."""


@dataset_stage("suites")
def record_suites(run: Run, config: Config) -> None:
    """Record which of the repository's tests can judge patches to the commits that are proven faster."""
    repo = config.repository.name
    commits = commits_of(run, config, faster(run, config))
    arms = arms_of(run, config, commits)
    items = {
        c.sha: {
            "repo": repo, "sha": c.sha, "functions_changed": c.functions_changed, "base": arms[c.sha]["base"],
            "human": arms[c.sha]["human"], "suite": config.suite, "sandbox": config.sandbox,
        }
        for c in commits
        if c.sha in arms
    }  # fmt: skip
    for sha, recorded in run.map(STAGE, record_suite, items, repo=repo).items():
        reason = ("weakly_checked: " if recorded.weakly_checked else "") + recorded.reason
        made = [recorded.suite_id] if recorded.suite_id else []
        run.note(STAGE, sha, "kept", reason, repo=repo, made=made)


def check_patches(
    run: Run,
    instances: Sequence[Instance],
    arms: Mapping[str, Sequence[Arm]],
    suite: SuiteConfig,
    sandbox: SandboxConfig,
) -> dict[str, list[Arm]]:
    """Run each instance's tests on its patches. Returns instance -> what is left to be timed: base, human, and patches.

    A patch that fails is not timed, one that met a fault neither; a patch of which no test tells anything is.
    """
    named = {key: {arm.name: arm for arm in found} for key, found in arms.items()}
    tests_from = {key: found.pop(TESTS, found["human"]) for key, found in named.items()}
    left = {key: list(found.values()) for key, found in named.items()}
    rows = {row.instance_id: row for row in instances if row.instance_id in named and row.pass_to_pass}
    if not suite.check_s:
        return left
    references = _refer(run, rows, named, tests_from, suite, sandbox)
    wanted = {f"{key} {arm.name}": (key, arm) for key in references for arm in left[key] if arm.role == "patch"}
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
        if checked is None or checked.correct is False:
            left[key].remove(arm)
    for key in [key for key, found in left.items() if key in references and len(found) <= 2]:
        del left[key]  # no patch is left that could be timed
    return left


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
        first = reference.tests[: min(1, reference.of_change)]
        run.note(STAGE, key, "kept" if reference.tests else "dropped", reference.reason or lost, made=first)
    return {key: reference for key, reference in found.items() if reference.tests}
