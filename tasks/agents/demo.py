"""The demo's models: scripts that read code, run tests, apply a patch of ours and run the tests again."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from configs.agent_runs import AgentModelConfig, AgentsConfig, PricesConfig, ProviderConfig
from configs.attempts import AttemptConfig
from configs.demo.truth import EMPTY, FOLDER, load_expected, patch_file
from configs.models import SandboxConfig
from storage.store import Store
from storage.tables import Instance
from tasks.agents.scripted import Script, Turn

AGENT = "mini-swe-agent"
PRICES = PricesConfig(input=1.0, output=4.0)
"""Made up, so that there is something to count."""
_TESTS = "python -m pytest -q 2>&1 | tail -3"


class DemoAgents(BaseModel):
    """`configs/demo/agents.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[str, dict[str, str]]
    """Model -> instance -> patch."""
    opt_at_1: dict[str, float]
    """What must come out."""


def load_demo_agents(path: Path = FOLDER / "agents.yaml") -> DemoAgents:
    """Read and check the file."""
    return DemoAgents.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def demo_config(store: str, url: str, sandbox: SandboxConfig) -> AgentsConfig:
    """The runs of the demo, with the scripted models at `url`."""
    provider = ProviderConfig(protocol="openai", base_url=url, known_as="the demo's scripted models")
    models = [AgentModelConfig(name=name, provider=provider, prices=PRICES) for name in load_demo_agents().models]
    attempt = AttemptConfig(minutes=10)
    return AgentsConfig(store=store, agents=[AGENT], models=models, attempt=attempt, sandbox=sandbox)


def demo_scripts(store: Store) -> list[Script]:
    """What each model says at each instance of the store, which it knows by the API that the task names."""
    rows = {row.instance_id: row for row in store.rows(Instance)}
    names = {each.name: each.instance_id for each in load_expected().instances}
    return [
        _script(model, rows[names[name]], name, patch)
        for model, patches in load_demo_agents().models.items()
        for name, patch in patches.items()
        if names[name] in rows
    ]


def _script(model: str, row: Instance, name: str, patch: str) -> Script:
    text = "" if patch == EMPTY else patch_file(name, patch).read_text(encoding="utf-8")
    files = re.findall(r"^\+\+\+ b/(\S+)$", text or row.patch, re.MULTILINE)
    turns = [
        Turn(say="First the code.", run=f"git log --oneline; ls; cat {' '.join(files)}"),
        Turn(say="Do the tests pass as it is?", run=_TESTS),
    ]
    if text:
        turns += [
            Turn(say="This should be faster.", run=f"git apply <<'PATCH'\n{text}PATCH"),
            Turn(say="Is it still right?", run=f"git diff --stat; {_TESTS}"),
        ]
    turns.append(Turn(finish="Done." if text else "I see nothing that could be faster."))
    return Script(when=re.escape(row.api) + r"\b", model=model, turns=tuple(turns))
