"""What is remembered of a built environment, beside it in its folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from configs.models import EnvironmentConfig, RepositoryConfig
from tasks.sandbox.foreign import read
from tasks.sandbox.models import Environment


class Record(BaseModel):
    """What is remembered of a built environment: `record.json` in its folder."""

    environment: Environment
    reason: str = ""
    roots: list[str] = []
    """Folders of a checkout to import from, as the project's own installation has them."""
    imports: list[str] = []
    """Top-level names that the project installs."""
    version: str = "0.0.0"


def environment_folder(work: Path, env_id: str) -> Path:
    """Where an environment, its record, its log and the files that it adds to arms are."""
    return work / "environments" / env_id


def read_record(work: Path, env_id: str) -> Record | None:
    """The record of a finished environment, or None."""
    try:
        return Record.model_validate_json(read(environment_folder(work, env_id), "record.json"))
    except FileNotFoundError:
        return None


def is_compiled(repository: RepositoryConfig, environment: EnvironmentConfig) -> bool:
    """Whether each arm is built by itself."""
    if environment.build == "auto":
        return any(language != "python" for language in repository.languages)
    return environment.build == "always"
