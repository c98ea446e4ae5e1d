"""The gateway's settings and reports: models and prices, budget, usage, faults, leaks."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Protocol = Literal["anthropic", "openai", "gemini"]


class Frozen(BaseModel):
    """Immutable value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Provider(Frozen):
    """The server that answers: a provider's, or any that speaks its protocol."""

    protocol: Protocol
    base_url: str
    """What the protocol's paths are put behind, without `/v1`. Examples: `https://api.anthropic.com`,
    `http://127.0.0.1:8000`. With `translate` it may be empty: litellm knows where its providers are."""
    api_key: SecretStr | None = None
    """Sent in the protocol's own header. None: none is sent, or litellm looks for its own (AWS, Google)."""
    translate: str | None = None
    """litellm's name of a provider that speaks another protocol than agents do. Examples: `bedrock`, `vertex_ai`."""


class LongPrices(Frozen):
    """Prices of requests with long prompts, in US dollars per token."""

    above: int
    """A request whose prompt has more tokens than this is dearer, the whole of it."""
    input: float
    output: float
    cache_read: float
    cache_write: float


class Prices(Frozen):
    """US dollars per token."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    """Of a prompt's tokens that came from the provider's cache. None: as `input`."""
    cache_write: float | None = Field(default=None, ge=0)
    """Of a prompt's tokens that were put into that cache. None: as `input`."""
    cache_write_1h: float | None = Field(default=None, ge=0)
    """The same, to be kept for an hour. None: as `cache_write`."""
    reasoning: float | None = Field(default=None, ge=0)
    """Of output tokens that the agent does not see. None: as `output`."""
    long: LongPrices | None = None


class AllowedModel(Frozen):
    """A model that an attempt may ask."""

    asked: str
    """The name that the agent uses."""
    upstream: str
    """The provider's name for it."""
    provider: Provider
    prices: Prices | None = None
    """None: there is no known price, so its cost counts as 0 and a budget in dollars cannot be kept."""
    max_output: int | None = None
    """Output tokens that the model can make at most, where that is known."""


class Budget(Frozen):
    """What an attempt may use. None: as much as it likes."""

    usd: float | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    """Prompt and output tokens together."""
    requests: int | None = Field(default=None, ge=0)


class Usage(Frozen):
    """What was used, by the provider's own count."""

    requests: int = 0
    """Requests that the provider took: it answered, or began to."""
    tokens_in: int = 0
    """All tokens of prompts, those from and into the cache included."""
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    """The part of `cache_write` that is kept for an hour."""
    tokens_out: int = 0
    """All tokens that were made, reasoning included."""
    reasoning: int = 0
    cost_usd: float = 0.0
    estimated_requests: int = 0
    """Requests whose counts are, in part, an estimate of ours: the provider did not come to say them."""

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


FaultKind = Literal[
    "unreachable", "hang", "cut", "nonsense", "rate_limited", "overloaded", "server_error", "rejected", "redirected",
    "agent_left", "not_recorded",
]  # fmt: skip
"""`rejected`: any other 4xx, such as a wrong key. `agent_left`: the agent closed the connection before its answer was
whole. `not_recorded`: a request or an answer could not be written down."""


class Fault(Frozen):
    """Something that went wrong between us and a provider, or with an agent's own connection."""

    kind: FaultKind
    status: int | None = None
    """HTTP status, where there was one."""
    count: int = 1
    first: datetime
    last: datetime
    detail: str = ""
    """What was seen the last time, without any key."""


class LeakSeen(Frozen):
    """How much of the human's diff an agent was shown."""

    lines_added: int
    """Added lines that say something and that base does not have."""
    prompt: int = 0
    """How many of them stood in what the agent's prompts say."""
    tool_results: int = 0
    """How many stood in results of the agent's tools, and not in what its model had written before."""
    names: tuple[str, ...] = ()
    """Names of the added code that either of them uses."""
    left_out: int = 0
    """Requests that were not looked at, since too many came at once."""

    @property
    def prompt_rate(self) -> float:
        """Share of the added lines that the prompts gave away, from 0 to 1."""
        return self.prompt / self.lines_added if self.lines_added else 0.0

    @property
    def tool_rate(self) -> float:
        """Share of the added lines that tools gave away, from 0 to 1."""
        return self.tool_results / self.lines_added if self.lines_added else 0.0
