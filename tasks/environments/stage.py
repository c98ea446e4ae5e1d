"""Doors of the environments stage: build what a commit needs, check out an arm in it."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from storage.store import Store
from tasks.caching import cache_key
from tasks.decorators import stage_task
from tasks.environments.arms import checking_out
from tasks.environments.builds.identity import cut_off
from tasks.environments.models import Built, CheckedOut, EnvironmentWanted
from tasks.environments.repair.ladder import climb
from tasks.sandbox.models import Environment, SandboxError


def _environment_key(context: Any, parameters: dict[str, Any]) -> str:
    environment: EnvironmentConfig = parameters["environment"]
    repository: RepositoryConfig = parameters["repository"]
    sandbox: SandboxConfig = parameters["sandbox"]
    image = os.environ.get("ISOBENCH_IMAGE") if sandbox.uses_images else None
    settings = environment.model_dump(mode="json", exclude={"build_timeout_s"})
    return cache_key(
        "environments", "build_environment", repository.name, repository.languages, settings, sandbox.kind, image,
        parameters["base_sha"], parameters["head_sha"], cut_off(environment, parameters["date"]),
        # what a build may do decides whether it succeeds
        sandbox.trust or not parameters.get("foreign", False), repository.clone_url, services=("sandbox",),
    )  # fmt: skip


def _arm_key(context: Any, parameters: dict[str, Any]) -> str:
    repository: RepositoryConfig = parameters["repository"]
    config: EnvironmentConfig = parameters["environment_config"]
    return cache_key(
        "environments", "check_out", repository.name, repository.languages, config.import_paths, config.build,
        parameters["environment"], parameters["sha"], parameters["name"], parameters["patch"],
    )  # fmt: skip


def _outside(error: object) -> bool:
    return isinstance(error, SandboxError)


@stage_task(
    _environment_key,
    name="build environment",
    run_name="environment of {repository.name} {head_sha:.10}",
    tags=["build"],
    retries=3,
    outside=_outside,
    timeout_s=3 * 3600,
)
def build_environment(
    repository: RepositoryConfig,
    environment: EnvironmentConfig,
    sandbox: SandboxConfig,
    base_sha: str,
    head_sha: str,
    date: datetime | None,
    store: str,
    foreign: bool = False,
) -> Built:
    """Install what a commit needs, as of its date, and see that both its sides import; or say why that fails.

    Where the configuration leaves the Python open, several ways are tried; each is a row of `environment_tries`.

    `foreign`: what is asked for stands in a file that the user may not have written.
    """
    wanted = EnvironmentWanted(repository, environment, sandbox, base_sha, head_sha, date, foreign)
    kept = Store(store, run="environments")
    climbed = climb(wanted, kept.work)
    kept.append(climbed.tries)
    return climbed.built


@stage_task(
    _arm_key,
    name="check out",
    run_name="{name} of {repository.name} {sha:.10}",
    tags=["checkouts"],
    retries=2,
    outside=_outside,
    timeout_s=3600,
)
def check_out(
    repository: RepositoryConfig,
    environment_config: EnvironmentConfig,
    environment: Environment,
    sandbox: SandboxConfig,
    sha: str,
    name: str,
    patch: str | None,
    store: str,
) -> CheckedOut:
    """Write one arm's files, with a patch applied if there is one; a patch that does not apply is a status."""
    work = Store(store).work
    return checking_out.check_out(repository, environment_config, environment, sandbox, sha, name, patch, work)
