"""What this stage is asked for and hands back: an environment or an arm, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from tasks.sandbox.models import Arm, Environment

CheckOutStatus = Literal["ok", "empty_patch", "patch_failed", "build_failed", "missing_commit"]


@dataclass(frozen=True)
class EnvironmentWanted:
    """Which commit's environment is asked for: one that serves its base and its human side."""

    repository: RepositoryConfig
    environment: EnvironmentConfig
    sandbox: SandboxConfig
    base_sha: str
    head_sha: str
    date: datetime | None
    """When the change was written, where that is known."""
    foreign: bool = False
    """Whether repository and commands are of a file that the user may not have written: then not even in a container do
    they get root's rights, unless the user trusts them."""

    @property
    def as_root(self) -> bool:
        """Whether a container's build has root's rights."""
        return self.sandbox.trust or not self.foreign


class Result(BaseModel):
    """Immutable value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Built(Result):
    """An environment in which both commits import, or why not."""

    environment: Environment | None
    reason: str = ""
    """Empty when all went well; a note when it works with a reservation; else what failed, in one line."""
    log: str | None = None
    """The log of every attempt, relative to the work folder; None if nothing was tried."""
    fault: bool = False
    """Of a failure: whether it says something about this machine (no time left, a missing program or library), so that
    trying again later or elsewhere could help. A failure without it is a finding about the commit."""
    settings: EnvironmentConfig | None = None
    """What the environment was built with, where settings said `auto`; None if they did not, or nothing came of it."""


class CheckedOut(Result):
    """An arm, or why there is none."""

    arm: Arm | None
    status: CheckOutStatus
    reason: str = ""


def missing(item: Arm | Environment, work: Path) -> bool:
    """Whether a remembered arm or environment is no longer there: its folder or its image was deleted.

    Raises SandboxError if an image has to be looked for and no engine answers.
    """
    if isinstance(item, Arm):
        return not (work / item.checkout).is_dir() or missing(item.environment, work)
    if item.path is not None:
        return not (work / item.path).is_dir()
    if item.image is not None:
        from tasks.environments.builds.images import image_exists

        return not image_exists(item.image)
    return False
