"""What both flows need before anything can run: environments, and arms checked out in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from configs.errors import UserError
from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from flows.engine.funnel import first_few
from flows.engine.run import Run
from storage.tables import Instance
from tasks.environments.models import missing
from tasks.environments.stage import build_environment, check_out
from tasks.mining.models import Clone
from tasks.mining.stage import sync_repository
from tasks.sandbox.models import Arm, Environment

STAGE = "environments"


@dataclass(frozen=True)
class ArmWanted:
    """A checkout to make: of `sha`, with `patch` applied if there is one."""

    item: str
    """Sha or instance id that it belongs to."""
    name: str
    repository: RepositoryConfig
    config: EnvironmentConfig
    environment: Environment
    sha: str
    patch: str | None = None


def clone_of(run: Run, repository: RepositoryConfig, anonymous: bool = False) -> Clone:
    """The repository's clone, up to date; `anonymous` sends no token. Raises MiningError if there is none."""
    work = run.store.work
    return run.must(
        "clone", sync_repository, stale=lambda clone: not (work / clone.path).is_dir(), repository=repository,
        anonymous=anonymous,
    )  # fmt: skip


def cloned(
    run: Run, instances: Sequence[Instance], repositories: Mapping[str, RepositoryConfig], anonymous: bool
) -> list[Instance]:
    """The instances whose repository can be had; the others are noted as failed."""
    faults: dict[tuple[str, str], str] = {}
    for row in instances:
        source = (row.repo, row.repo_url)
        if source not in faults:
            try:
                clone_of(run, repositories[row.instance_id], anonymous)
                faults[source] = ""
            except UserError as error:
                faults[source] = str(error)
        if faults[source]:
            run.note("environments", row.instance_id, "failed", faults[source], repo=row.repo)
    return [row for row in instances if not faults[row.repo, row.repo_url]]


def build_environments(
    run: Run,
    items: Mapping[str, Mapping[str, Any]],
    repo: str = "",
    lacking: Literal["dropped", "failed"] = "dropped",
) -> dict[str, Environment]:
    """Item -> its environment. An item whose environment does not build is noted in the funnel with its reason and log.

    `lacking` is what that means for the item: a candidate is dropped, an instance that has to be timed has failed. That
    none could be built is missed by the run. A cached environment whose folder or image is gone is built again, and so
    is one that failed through this machine, which is a fault and no result.
    """
    work = run.store.work
    built = run.map(
        STAGE,
        build_environment,
        items,
        repo=repo,
        stale=lambda result: result.fault or (result.environment is not None and missing(result.environment, work)),
    )
    for key, result in built.items():
        reason = result.reason
        if not result.environment and result.log and (work / result.log).is_file():
            reason = f"{reason} (log: {work / result.log})"
        outcome = "kept" if result.environment else "failed" if result.fault else lacking
        run.note(STAGE, key, outcome, reason, repo=repo)
    found = {key: result.environment for key, result in built.items() if result.environment}
    if items and not found:
        reasons = dict.fromkeys(row.reason for row in run.rows() if row.stage == STAGE and row.key in items)
        run.missing.append(f"none of {len(items)} environments could be built: {first_few(reasons, 3)}")
    return found


def instance_environments(
    run: Run,
    instances: Sequence[Instance],
    repositories: Mapping[str, RepositoryConfig],
    settings: Mapping[str, EnvironmentConfig],
    sandbox: SandboxConfig,
) -> dict[str, Environment]:
    """Instance -> its environment; repositories and settings are by instance. One that has none has failed."""
    items = {
        row.instance_id: {
            "repository": repositories[row.instance_id], "environment": settings[row.instance_id],
            "sandbox": sandbox, "base_sha": row.base_commit, "head_sha": row.head_commit,
            "date": row.created_at, "foreign": True,
        }
        for row in instances
    }  # fmt: skip
    return build_environments(run, items, lacking="failed")


def check_out_arms(
    run: Run, sandbox: SandboxConfig, wanted: Iterable[ArmWanted], repo: str = ""
) -> tuple[dict[str, dict[str, Arm]], dict[tuple[str, str], str]]:
    """(item -> arm name -> arm, (item, arm name) -> why it could not be made)."""
    work = run.store.work
    by_key = {f"{arm.item} {arm.name}": arm for arm in wanted}
    made = run.map(
        "checkouts",
        check_out,
        {
            key: {
                "repository": arm.repository, "environment_config": arm.config, "environment": arm.environment,
                "sandbox": sandbox, "sha": arm.sha, "name": arm.name, "patch": arm.patch,
            }
            for key, arm in by_key.items()
        },
        repo=repo,
        stale=lambda result: result.arm is not None and missing(result.arm, work),
    )  # fmt: skip
    arms: dict[str, dict[str, Arm]] = {}
    failed: dict[tuple[str, str], str] = {}
    for key, arm in by_key.items():
        result = made.get(key)
        if result is not None and result.arm is not None:
            arms.setdefault(arm.item, {})[arm.name] = result.arm
            if result.reason:
                run.note("checkouts", key, "kept", result.reason, repo=repo)
        elif result is not None:
            failed[arm.item, arm.name] = f"{result.status}: {result.reason}"
    return arms, failed
