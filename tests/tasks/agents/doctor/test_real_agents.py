"""Real agents, installed by our own code from the registries, at work for the scripted model in both sandboxes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from configs.agent_files import load_agent
from configs.models import SandboxConfig
from tasks.agents.doctor.examining import examine
from tasks.agents.installed.installing import install
from tasks.sandbox import Sandbox, open_sandbox
from tests.agents import agents_work

AGENTS = ("claude-code", "codex", "mini-swe-agent")
# installing from nothing takes minutes, once on a machine
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """The agents, ready for this file's tests and everybody else's."""
    with ThreadPoolExecutor(len(AGENTS)) as side_by_side:
        list(side_by_side.map(lambda name: install(load_agent(name), agents_work()), AGENTS))


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "docker":
        request.getfixturevalue("docker_image")
    with open_sandbox(SandboxConfig(kind=request.param)) as opened:
        yield opened


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_solves_its_task_and_tells_what_was_billed(name: str, sandbox: Sandbox) -> None:
    found = examine(load_agent(name), agents_work(), sandbox)
    assert [(check.name, check.ok) for check in found.checks] == [
        ("installed", True), ("ran", True), ("asked the model", True), ("edited", True), ("trajectory", True),
        ("tokens", True),
    ], found.model_dump_json(indent=1)  # fmt: skip
