"""The committed reference page is what the models say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from configs.agent_runs import AgentsConfig
from configs.models import Config
from configs.reference import agents_markdown, describe, to_markdown


def test_the_committed_page_is_current():
    page = Path("docs/reference/configuration.md").read_text()
    assert page == to_markdown(), "run: python -m configs.reference > docs/reference/configuration.md"


def test_the_committed_page_of_agents_is_current():
    page = Path("docs/reference/agents.md").read_text()
    assert page == agents_markdown(), "run: python -m configs.reference agents > docs/reference/agents.md"
    found = describe(AgentsConfig)
    assert all(option.text and option.type and option.default for option in found)
    assert {option.section for option in found} >= {"models", "models.provider", "attempt", "budget", ""}


def test_the_command_in_the_page_prints_it():
    done = subprocess.run([sys.executable, "-m", "configs.reference"], capture_output=True, text=True, check=True)
    assert done.stdout == to_markdown()


def test_every_option_has_a_text_a_type_and_a_default():
    found = {f"{option.section}.{option.name}".removeprefix("."): option for option in describe()}
    assert all(option.text and option.type and option.default for option in found.values())
    assert found["mining.max_files"].type == "an integer greater than 0"
    assert found["mining.max_files"].default == "25"
    assert found["repository.name"].default == "required"
    assert found["store"].section == ""
    assert {name.split(".")[0] for name in found} == set(Config.model_fields)
