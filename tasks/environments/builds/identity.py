"""What names an environment: everything that decides what ends up in it, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from configs.models import EnvironmentConfig
from storage.ids import content_hash
from tasks.environments.arms.native import native_of

RECIPE = 2
"""Raised when the same request is to build another environment than before."""
DECLARING = re.compile(
    r"pyproject\.toml|setup\.(py|cfg)|MANIFEST\.in|requirements[^/]*\.(txt|in)|requirements/[^/]*\.(txt|in)|"
    r"meson\.build|CMakeLists\.txt|constraints[^/]*\.txt"
)
"""Files of the project's folder that declare what it needs to be built and run."""


def declaring(project: str) -> re.Pattern[str]:
    """`DECLARING` for a project that lies in a folder of the repository."""
    return DECLARING if project == "." else re.compile(f"{re.escape(project)}/({DECLARING.pattern})")


def cut_off(environment: EnvironmentConfig, date: datetime | None) -> str | None:
    """Releases after this moment are not installed: the end of the commit's day (UTC), or None for no limit."""
    if environment.as_of is not None:
        return f"{environment.as_of:%Y-%m-%d}T23:59:59Z"
    if not environment.pin_to_date or date is None:
        return None
    moment = date if date.tzinfo else date.replace(tzinfo=UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d}T23:59:59Z"


def installs_nothing(environment: EnvironmentConfig) -> bool:
    """Whether the bare interpreter will do."""
    asked = (
        environment.install_project,
        environment.packages,
        environment.setup_commands,
        environment.install_commands,
    )
    return not any(asked)


def environment_id(
    environment: EnvironmentConfig,
    base: str,
    declared: dict[str, bytes],
    base_sha: str,
    date: datetime | None,
    compiled: bool,
    shape: str = "",
) -> str:
    """Content hash: equal for commits that need the same.

    `base` is what it is built on: the interpreter's version, or the image's id. `shape` is `shape_of` the commit's
    files: what an installation shows of the project is that of commits with the same.
    """
    if installs_nothing(environment):
        return content_hash("environment", RECIPE, base)
    # Commands may read anything in the checkout.
    commit = base_sha if environment.setup_commands or environment.install_commands else ""
    asked = [environment.project, environment.build_packages, environment.test_packages]
    files = {name: content_hash(content) for name, content in declared.items()} if environment.install_project else {}
    return content_hash(
        "environment", RECIPE, base, files, commit, shape, cut_off(environment, date), environment.install_project,
        environment.setup_commands, environment.install_commands, environment.packages, compiled,
        *([] if asked == ["auto", [], "auto"] else [asked]),
    )  # fmt: skip


def shape_of(repo: str, tracked: Mapping[str, str], compiled: bool) -> str:
    """Hash of where a commit has Python files, and of what its compiled modules are made of if all arms share them."""
    folders = sorted({path.rpartition("/")[0] for path in tracked if path.endswith(".py")})
    return content_hash(repo, folders, {} if compiled else native_of(tracked), length=16)
