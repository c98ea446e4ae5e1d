"""What tokens cost: prices from litellm's table, and the cost of what a provider counted."""

from __future__ import annotations

import re
from typing import Any

from tasks.agents.gateway.models import AllowedModel, LongPrices, Prices, Usage
from tasks.llm.price_table import entry_of

_ABOVE = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")


def with_prices(model: AllowedModel) -> AllowedModel:
    """The model with prices and longest output as litellm's table has them, where it does not say them itself."""
    entry = entry_of(_names(model)) or {}
    prices = model.prices
    if prices is None and entry.get("input_cost_per_token") is not None:
        prices = prices_from(entry)
    longest = model.max_output or entry.get("max_output_tokens")
    return model.model_copy(update={"prices": prices, "max_output": longest if isinstance(longest, int) else None})


def prices_from(entry: dict[str, Any]) -> Prices:
    """One record of litellm's table, whose prices of batches and other tiers are for what no attempt may ask."""
    long = None
    if (found := next((match for key in entry if (match := _ABOVE.fullmatch(key))), None)) is not None:
        tail = f"_above_{found[1]}k_tokens"
        high = float(entry[found[0]])
        long = LongPrices(
            above=int(found[1]) * 1000,
            input=high,
            output=entry.get(f"output_cost_per_token{tail}") or entry.get("output_cost_per_token") or 0.0,
            cache_read=entry.get(f"cache_read_input_token_cost{tail}") or high,
            cache_write=entry.get(f"cache_creation_input_token_cost{tail}") or high,
        )
    return Prices(
        input=entry.get("input_cost_per_token") or 0.0,
        output=entry.get("output_cost_per_token") or 0.0,
        cache_read=entry.get("cache_read_input_token_cost"),
        cache_write=entry.get("cache_creation_input_token_cost"),
        cache_write_1h=entry.get("cache_creation_input_token_cost_above_1hr"),
        reasoning=entry.get("output_cost_per_reasoning_token"),
        long=long,
    )


def _names(model: AllowedModel) -> list[str]:
    """Names that litellm's table may have the model by, the most particular first."""
    provider, name = model.provider, model.upstream
    if provider.translate:
        return [f"{provider.translate}/{name}", name]
    by = "openrouter" if "openrouter.ai" in provider.base_url else provider.protocol
    return [f"{by}/{name}", name]


def cost_usd(usage: Usage, prices: Prices | None) -> float:
    """US dollars for what one request used. The tokens of a prompt are fresh, from the cache, or put into it."""
    if prices is None:
        return 0.0
    read = prices.input if prices.cache_read is None else prices.cache_read
    write = prices.input if prices.cache_write is None else prices.cache_write
    hour = write if prices.cache_write_1h is None else prices.cache_write_1h
    fresh, output = prices.input, prices.output
    reasoning = output if prices.reasoning is None else prices.reasoning
    if prices.long is not None and usage.tokens_in > prices.long.above:
        dearer = prices.long.input / prices.input if prices.input else 1.0
        fresh, output, read, write = (
            prices.long.input,
            prices.long.output,
            prices.long.cache_read,
            prices.long.cache_write,
        )
        reasoning, hour = max(reasoning, output), hour * dearer
    return (
        max(0, usage.tokens_in - usage.cache_read - usage.cache_write) * fresh
        + usage.cache_read * read
        + max(0, usage.cache_write - usage.cache_write_1h) * write
        + usage.cache_write_1h * hour
        + max(0, usage.tokens_out - usage.reasoning) * output
        + usage.reasoning * reasoning
    )


def dearest(prices: Prices | None, prompt_tokens: float) -> tuple[float, float]:
    """(the most that a token of such a prompt can cost, the most of one that is made), in US dollars."""
    if prices is None:
        return 0.0, 0.0
    into = max(price or 0.0 for price in (prices.input, prices.cache_write, prices.cache_write_1h))
    made = max(prices.output, prices.reasoning or 0.0)
    if prices.long is not None and prompt_tokens > prices.long.above:
        into, made = max(into, prices.long.input, prices.long.cache_write), max(made, prices.long.output)
    return into, made
