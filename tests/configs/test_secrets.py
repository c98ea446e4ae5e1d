"""Secrets come from the environment and .env, and never show."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from configs.secrets import Secrets, export_secrets, load_secrets

VALUE = "sk-not-a-real-key-4711"
NAMES = [name.upper() for name in Secrets.model_fields]


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    for name in NAMES:
        # setenv before delenv, so that what export_secrets adds is undone after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    path = tmp_path / ".env"
    path.write_text(f"OPENAI_API_KEY={VALUE}\nAWS_REGION=eu-west-1\nHF_TOKEN=\nSOMETHING_ELSE=1\n")
    return path


def test_read_from_env_file_and_environment_wins(env_file, monkeypatch):
    secrets = load_secrets(env_file)
    assert secrets.openai_api_key is not None
    assert secrets.openai_api_key.get_secret_value() == VALUE
    assert secrets.aws_region == "eu-west-1"
    assert secrets.hf_token is None
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    other = load_secrets(env_file).openai_api_key
    assert other is not None
    assert other.get_secret_value() == "other"


def test_an_absent_env_file_is_fine(env_file, tmp_path):
    assert not any(load_secrets(tmp_path / "none").names_set().values())


def test_never_shown(env_file, caplog):
    secrets = load_secrets(env_file)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").info("%s %r %s", secrets, secrets, secrets.openai_api_key)
        shown = export_secrets(env_file)
    texts = [
        repr(secrets), str(secrets), str(secrets.model_dump()), secrets.model_dump_json(), caplog.text, str(shown),
        str(secrets.names_set()),
    ]  # fmt: skip
    assert all(VALUE not in text for text in texts)
    with pytest.raises(ValueError, match="aws_region") as caught:
        Secrets(aws_region=[VALUE])  # type: ignore[arg-type]
    assert VALUE not in str(caught.value)


def test_export_does_not_override(env_file, monkeypatch):
    assert export_secrets(env_file) == ["OPENAI_API_KEY", "AWS_REGION"]
    assert os.environ["OPENAI_API_KEY"] == VALUE
    assert "SOMETHING_ELSE" not in os.environ
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    assert export_secrets(env_file) == []
    assert os.environ["OPENAI_API_KEY"] == "mine"


def test_the_example_names_all_of_them_and_holds_none(env_file, tmp_path):
    example = Path(".env.example")
    lines = [line for line in example.read_text().splitlines() if line and not line.startswith("#")]
    assert sorted(line.partition("=")[0] for line in lines) == sorted(NAMES)
    assert all(line.endswith("=") for line in lines)
    assert export_secrets(example) == []
