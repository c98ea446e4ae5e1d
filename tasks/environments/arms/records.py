"""What is remembered of a built environment, beside it in its folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from configs.models import EnvironmentConfig, RepositoryConfig
from tasks.environments.arms.layout import Layout
from tasks.sandbox.foreign import MEBIBYTE, read
from tasks.sandbox.models import Environment

_MAX_BYTES = 128 * MEBIBYTE


class Record(BaseModel):
    """What is remembered of a built environment: `record.json` in its folder."""

    environment: Environment
    reason: str = ""
    layout: Layout = Layout()
    """How a checkout becomes importable as the project's own installation is."""
    native: dict[str, str] = {}
    """Files that compiled modules are made of -> git's id, if all arms get the base commit's compiled modules."""
    version: str = "0.0.0"
    project: str = "."
    """Folder of the repository that holds the project."""


def environment_folder(work: Path, env_id: str) -> Path:
    """Where an environment, its record, its log and the files that it adds to arms are."""
    return work / "environments" / env_id


def read_record(work: Path, env_id: str) -> Record | None:
    """The record of a finished environment, or None."""
    try:
        return Record.model_validate_json(read(environment_folder(work, env_id), "record.json", _MAX_BYTES))
    except FileNotFoundError:
        return None


def is_compiled(repository: RepositoryConfig, environment: EnvironmentConfig) -> bool:
    """Whether each arm is built by itself."""
    if environment.build == "auto":
        return any(language != "python" for language in repository.languages)
    return environment.build == "always"
