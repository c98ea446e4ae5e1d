"""What flows are given, by Python or in a form of Prefect's page: types that a form can show, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from configs.agent_runs import AgentsConfig
from configs.errors import UserError
from configs.loading import load_config, load_config_text
from configs.models import Config


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _shown(description: str, **schema: Any) -> WithJsonSchema:
    """How a form shows a parameter: Prefect keeps no other description than that of the type's own schema."""
    return WithJsonSchema({**(schema or {"type": "string"}), "description": description})


_OPTIONAL: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}

ConfigSource = Annotated[
    Config | str,
    BeforeValidator(_as_text),
    _shown("Path of a configuration on the worker, or the text of one (YAML, or JSON on one line)."),
]
"""A configuration, the path of one, or its text."""
AgentsSource = Annotated[
    AgentsConfig | str,
    BeforeValidator(_as_text),
    _shown("Path of a file on the worker that says which agents, models and instances (docs/how-to/run-agents.md)."),
]
StorePlace = Annotated[
    str | None,
    BeforeValidator(_as_text),
    _shown("Folder or fsspec URL of the store. Default: what the configuration names, or the dataset.", **_OPTIONAL),
]
Overrides = Annotated[
    list[str],
    BeforeValidator(lambda value: list(value or [])),
    _shown("Single settings that differ, such as mining.max_candidates=10.", **_TEXTS),
]
RetryWords = Annotated[
    list[str],
    BeforeValidator(lambda value: list(value or [])),
    _shown("What to make again though it was done: failed, inconclusive, a stage, or an item.", **_TEXTS),
]
RunName = Annotated[
    str | None,
    BeforeValidator(lambda value: value or None),
    _shown("Name of the run in the funnel. Default: from its content.", **_OPTIONAL),
]
Dataset = Annotated[
    str, BeforeValidator(_as_text), _shown("A store, or a .jsonl or .parquet file of canonical instances.")
]
Files = Annotated[
    list[str],
    BeforeValidator(lambda value: [_as_text(one) for one in value]),
    _shown("Files of predictions, with instance_id, model_patch and model_name_or_path.", **_TEXTS),
]


def is_text(source: str) -> bool:
    """Whether it is a configuration itself, and not the path of one."""
    return "\n" in source or ": " in source or source.lstrip().startswith("{")


def read_config(source: Config | str | Path, settings: Sequence[str] = ()) -> Config:
    """The configuration that a flow was given. Raises ConfigError; UserError for overrides of one that is read already.

    Paths in a text are relative to the working folder, those in a file to the file.
    """
    if isinstance(source, Config):
        if settings:
            raise UserError("`settings` change a file or a text; of a Config make a copy that differs")
        return source
    text = str(source)
    return load_config_text(text, settings) if is_text(text) else load_config(text, settings)


def repository_of(source: Any) -> str:
    """Name of the repository that a flow's configuration is about; for names of runs, so never an error."""
    try:
        return read_config(source).repository.name
    except Exception:
        return "a configuration that cannot be used"
