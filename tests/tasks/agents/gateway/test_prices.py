"""Prices are those of litellm's table, and what they make of a bill is what litellm makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.agents.gateway import AllowedModel, Budget, Gateway, Provider, Usage
from tasks.agents.gateway.models import Protocol
from tasks.agents.gateway.prices import cost_usd, with_prices
from tasks.llm.client import load_litellm
from tasks.llm.price_table import entry_of
from tests.tasks.agents.gateway.wire import PRICES

BILLS: list[tuple[Protocol, str, dict[str, int]]] = [
    ("anthropic", "claude-sonnet-4-5", {"tokens_in": 9000, "cache_read": 5000, "cache_write": 3000, "tokens_out": 700}),
    ("anthropic", "claude-opus-4-5", {"tokens_in": 100, "tokens_out": 7}),
    ("openai", "gpt-5", {"tokens_in": 9000, "cache_read": 5000, "tokens_out": 700, "reasoning": 600}),
    ("gemini", "gemini-2.5-pro", {"tokens_in": 9000, "cache_read": 5000, "tokens_out": 700, "reasoning": 600}),
    ("gemini", "gemini-2.5-pro", {"tokens_in": 250_000, "cache_read": 50_000, "tokens_out": 700}),
]


def model(protocol: Protocol, name: str, **more: Any) -> AllowedModel:
    provider = Provider(protocol=protocol, base_url="http://127.0.0.1:9")
    return AllowedModel(asked="m", upstream=name, provider=provider, **more)


@pytest.mark.parametrize(("protocol", "name", "bill"), BILLS)
def test_a_bill_is_what_litellm_makes_of_it(protocol: Protocol, name: str, bill: dict[str, int]) -> None:
    litellm = load_litellm()
    usage = Usage(**bill)
    theirs = litellm.Usage(
        prompt_tokens=usage.tokens_in,
        completion_tokens=usage.tokens_out,
        prompt_tokens_details=litellm.types.utils.PromptTokensDetailsWrapper(
            cached_tokens=usage.cache_read, cache_creation_tokens=usage.cache_write
        ),
        completion_tokens_details=litellm.types.utils.CompletionTokensDetailsWrapper(reasoning_tokens=usage.reasoning),
        cache_read_input_tokens=usage.cache_read,
        cache_creation_input_tokens=usage.cache_write,
    )
    response = litellm.ModelResponse(model=name, usage=theirs)
    expected = litellm.completion_cost(response, model=f"{protocol}/{name}")
    assert expected > 0
    assert cost_usd(usage, with_prices(model(protocol, name)).prices) == pytest.approx(expected, rel=1e-9)


def test_the_table_is_litellms_own() -> None:
    litellm = load_litellm()
    for name in ("claude-sonnet-4-5", "gpt-5", "gemini/gemini-2.5-pro"):
        entry = entry_of([name])
        assert entry is not None
        assert {key: litellm.model_cost[name][key] for key in entry} == entry


def test_a_cache_for_an_hour_costs_more() -> None:
    prices = with_prices(model("anthropic", "claude-sonnet-4-5")).prices
    usage = Usage(tokens_in=1000, cache_write=1000, cache_write_1h=400)
    assert cost_usd(usage, prices) == pytest.approx(600 * 3.75e-6 + 400 * 6e-6)


def test_what_a_configuration_says_goes_before_the_table() -> None:
    found = with_prices(model("openai", "gpt-5", prices=PRICES, max_output=77))
    assert (found.prices, found.max_output) == (PRICES, 77)
    assert with_prices(model("openai", "gpt-5")).max_output == 128_000


def test_without_a_known_price_tokens_are_counted_all_the_same() -> None:
    gateway = Gateway([model("openai", "a-model-of-my-own")], Budget(tokens=5))
    assert gateway.models["m"].prices is None
    assert cost_usd(Usage(tokens_in=5), None) == 0
