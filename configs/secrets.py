"""Keys and tokens, from environment variables and a `.env` file: never from YAML, never into the store or a log."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Secrets(BaseSettings):
    """What other services want to see. Each is optional; `isobench doctor` says which are set, never their values.

    An environment variable wins over `.env`. Values are `SecretStr`: printing and dumping show `**********`;
    code that talks to the service calls `get_secret_value()` at the last moment.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    openai_api_key: SecretStr | None = None
    """OpenAI, for models `openai/...`."""
    anthropic_api_key: SecretStr | None = None
    """Anthropic, for models `anthropic/...`."""
    aws_region: str | None = None
    """Region of Bedrock, for models `bedrock/...`; the AWS credentials are read by boto3 as ever. Not a secret."""
    ghapi_token: SecretStr | None = None
    """GitHub, for pull request and issue texts, and to clone private repositories from there."""
    hf_token: SecretStr | None = None
    """Hugging Face Hub, for publishing."""
    modal_token_id: SecretStr | None = None
    """Modal, for remote GPU workers."""
    modal_token_secret: SecretStr | None = None
    """Modal, for remote GPU workers."""

    def names_set(self) -> dict[str, bool]:
        """Variable name -> whether it has a value: what may be shown to people."""
        return {name.upper(): getattr(self, name) is not None for name in type(self).model_fields}


def load_secrets(env_file: str | Path = ".env") -> Secrets:
    """Read environment and `.env` (in the working directory by default; may be absent)."""
    return Secrets(_env_file=env_file)


def secret(name: str, env_file: str | Path = ".env") -> SecretStr | None:
    """The value of any variable, from the environment or `.env`, for code that hands it on at the last moment."""
    value = os.environ.get(name) or dotenv_values(env_file).get(name)
    return SecretStr(value) if value else None


def export_secrets(env_file: str | Path = ".env") -> list[str]:
    """Put the secrets of `.env` into this process's environment, where litellm and other clients look for them.

    What is set already stays. Returns the names that were added, never values.
    """
    secrets = load_secrets(env_file)
    added = []
    for name in type(secrets).model_fields:
        value = getattr(secrets, name)
        if value is None or os.environ.get(name.upper()):
            continue
        os.environ[name.upper()] = value.get_secret_value() if isinstance(value, SecretStr) else value
        added.append(name.upper())
    return added
