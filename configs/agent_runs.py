"""What agents are run on, with which models, and what they may spend: the file that `isobench agents` reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from configs.attempts import AttemptConfig
from configs.loading import load_section
from configs.models import SandboxConfig, Section

PROVIDERS = {
    "anthropic": ("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "openai": ("openai", "https://api.openai.com", "OPENAI_API_KEY"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
}
"""Name -> protocol, base URL, and the variable that holds the key."""


class ProviderConfig(Section):
    """Who answers a model's requests."""

    protocol: Literal["anthropic", "openai", "gemini"]
    """What it speaks. Agents speak one of these, and only those that speak this one can ask it, unless `translate`."""
    base_url: str = ""
    """What the protocol's paths are put behind, without `/v1`. Example: `http://127.0.0.1:8000`, a vLLM of your own."""
    key: str | None = None
    """Name of the environment variable (or of the line in `.env`) that holds the key; never the key itself. Another
    key for the same server makes no other attempt."""
    known_as: str | None = Field(default=None, min_length=1, max_length=200)
    """What attempts know this server by, in place of `base_url`: attempts of before stay valid when it moves. For a
    server of your own whose port is another one each time."""
    translate: str | None = None
    """litellm's name of a provider that speaks another protocol. Examples: `bedrock`, `vertex_ai`, `openrouter`."""

    @field_validator("key")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,99}", value):
            raise ValueError("expected the name of a variable, such as OPENAI_API_KEY; the key itself belongs in .env")
        return value

    @model_validator(mode="after")
    def _is_somewhere(self) -> ProviderConfig:
        if not self.base_url and not self.translate:
            raise ValueError("give base_url, or translate with litellm's name of the provider")
        if "@" in self.base_url.partition("://")[2].partition("/")[0]:
            raise ValueError("base_url holds a password or token; name its variable with `key`")
        return self


class PricesConfig(Section):
    """US dollars per million tokens."""

    input: float = Field(ge=0)
    """Of prompts."""
    output: float = Field(ge=0)
    """Of answers."""
    cache_read: float | None = Field(default=None, ge=0)
    """Of a prompt's tokens that came from the provider's cache. Default: as `input`."""
    cache_write: float | None = Field(default=None, ge=0)
    """Of a prompt's tokens that were put into that cache. Default: as `input`."""
    reasoning: float | None = Field(default=None, ge=0)
    """Of tokens that the agent does not see. Default: as `output`."""


class AgentModelConfig(Section):
    """A model that agents are run with."""

    name: str = Field(min_length=1, max_length=200)
    """What results call it, and the name that agents ask for."""
    upstream: str | None = None
    """The provider's name for it. Default: `name`."""
    provider: ProviderConfig
    """Who answers: `anthropic`, `openai` or `gemini`, with the key in ANTHROPIC_API_KEY, OPENAI_API_KEY or
    GEMINI_API_KEY; or `{protocol, base_url, key, translate}`."""
    small: str | None = None
    """The provider's name of a second model that some agents ask for titles and summaries. Default: the same model."""
    prices: PricesConfig | None = None
    """Default: litellm's table. A model that it lacks needs prices (0 for one of your own), or `budget.usd: null`."""
    small_prices: PricesConfig | None = None
    """The same of `small`. Default: litellm's table; for a model that it lacks, those of the main model."""

    @field_validator("name")
    @classmethod
    def _can_be_printed(cls, value: str) -> str:
        if not value.isprintable() or value != value.strip():
            raise ValueError("expected a name that can be printed")
        return value

    @field_validator("provider", mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise ValueError(f"no known provider ({known}): write {{protocol, base_url, key}}")
        protocol, url, key = PROVIDERS[value]
        return {"protocol": protocol, "base_url": url, "key": key}

    @property
    def asked_upstream(self) -> str:
        """The provider's name for it."""
        return self.upstream or self.name


class AttemptBudget(Section):
    """What one attempt may use of its models. The gateway ends an attempt that has used it up."""

    usd: float | None = Field(default=5.0, ge=0)
    """US dollars; null: as much as it likes."""
    tokens: int | None = Field(default=None, ge=0)
    """Tokens of prompts and answers together."""
    requests: int | None = Field(default=None, ge=0)
    """Requests."""


class AgentsConfig(Section):
    """Agents x models x samples on instances."""

    dataset: str | None = None
    """A store, or a .jsonl or .parquet file of instances. Default: `store`."""
    store: str = "./store"
    """Where attempts, predictions and trajectories go: a folder or an fsspec URL."""
    instances: list[str] = Field(default_factory=list)
    """Ids of instances. Default: all of the dataset."""
    agents: list[str] = Field(min_length=1)
    """Names of agents that come with isobench (`isobench agents list`), or paths of YAML files."""
    models: list[AgentModelConfig] = Field(min_length=1)
    """Models to run them with. An agent runs with those whose provider speaks its protocol."""
    samples: int = Field(default=1, gt=0, le=1000)
    """Attempts of each agent with each model at each instance."""
    attempt: AttemptConfig = AttemptConfig()
    """What each attempt is given, and how much of this machine it may use."""
    budget: AttemptBudget = AttemptBudget()
    """What each attempt may use of its models; the gateway ends one that has used it up."""
    total_usd: float | None = Field(default=None, ge=0)
    """US dollars for all attempts of this file together, those that the store has included. An attempt begins only if
    its `budget.usd` still fits. Default: what the attempts' own budgets come to."""
    extra_hosts: list[str] = Field(default_factory=list)
    """Hosts that agents may reach beside their model. Example: `[docs.python.org]`. Whatever they can look
    up, counts as told to them."""
    max_workers: int = Field(default=2, gt=0)
    """Attempts at the same time. Nothing is timed meanwhile, so cores may be shared."""
    sandbox: SandboxConfig = SandboxConfig()
    """Where agents run. Without bubblewrap there is no local sandbox for them."""

    @field_validator("models")
    @classmethod
    def _named_once(cls, value: list[AgentModelConfig]) -> list[AgentModelConfig]:
        names = [model.name for model in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two models have the name {twice[0]!r}: results could not be told apart")
        return value

    @model_validator(mode="after")
    def _total_can_be_kept(self) -> AgentsConfig:
        if self.total_usd is not None and self.budget.usd is None:
            raise ValueError("total_usd needs budget.usd: what an attempt may cost decides whether it still fits")
        return self


def load_agents_config(path: str | Path, overrides: list[str] | None = None) -> AgentsConfig:
    """Read a YAML file. Paths of the dataset and of agents are relative to it. Raises ConfigError."""
    found = load_section(path, AgentsConfig, overrides or [])
    folder = Path(path).resolve().parent
    said = {override.partition("=")[0].strip() for override in overrides or []}

    def placed(text: str) -> str:
        return text if "://" in text else str((folder / Path(text).expanduser()).resolve())

    agents = found.agents if "agents" in said else [_agent(name, folder) for name in found.agents]
    dataset = found.dataset and (found.dataset if "dataset" in said else placed(found.dataset))
    return found.model_copy(update={"agents": agents, "dataset": dataset})


def _agent(name: str, folder: Path) -> str:
    return str((folder / Path(name).expanduser()).resolve()) if name.endswith((".yaml", ".yml")) else name
