"""What an attempt may still use: requests are let in, capped, and booked with what they turned out to cost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tasks.agents.gateway.models import AllowedModel, Budget, Usage
from tasks.agents.gateway.prices import cost_usd, dearest

USUAL_OUTPUT = 32_000
"""Output tokens that are set aside for a request which names no limit, of a model whose longest output is unknown."""
SHORTEST_OUTPUT = 16
"""Output tokens below which no answer is worth its prompt, and which OpenAI asks for at least."""
FIRST_RATIO = 0.3
"""Tokens per byte of a request's body, before the first answer says it; code and English have 0.2 to 0.35."""


LOWEST_RATIO = 0.02
"""The same where a body is mostly pictures, and a bound against counts that are nonsense."""


class Spent(Exception):
    """The budget holds no further answer; the message says which part of it."""


@dataclass(frozen=True)
class Wanted:
    """What a request asks for."""

    tokens: int | None = None
    """Output tokens at most; None: it does not say."""
    least: int = 0
    """Output tokens without which it makes no sense: what it may think."""
    answers: int = 1


@dataclass(eq=False)
class Admission:
    """A request that was let in."""

    cap: int | None
    """Output tokens that it may be answered with; None: as many as it asked for."""
    prompt_tokens: int
    """Our estimate."""
    usd: float = 0.0
    tokens: int = 0
    """What is set aside for it."""


class Ledger:
    """The account of one attempt. Used in one event loop; `usage` and `ended` may be read from other threads."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.usage = Usage()
        self.ended: str | None = None
        self._under_way: list[Admission] = []
        self._changed = asyncio.Event()
        self._ratio = FIRST_RATIO

    def prompt_tokens(self, body_bytes: int) -> int:
        """How many tokens a body of that size is, by the answers so far."""
        return int(body_bytes * self._ratio) + 1

    async def admit(self, model: AllowedModel, body_bytes: int, wanted: Wanted) -> Admission:
        """Let a request in, which waits while it fits only if requests under way cost less than they may.

        Raises Spent.
        """
        while True:
            if self.ended is not None:
                raise Spent(self.ended)
            fitted = self._fit(model, body_bytes, wanted)
            if isinstance(fitted, Admission):
                self._under_way.append(fitted)
                return fitted
            if not self._under_way:
                self.ended = fitted
                raise Spent(fitted)
            self._changed.clear()
            await self._changed.wait()

    def _fit(self, model: AllowedModel, body_bytes: int, wanted: Wanted) -> Admission | str:
        """The admission, or what is spent."""
        budget, usage, under_way = self.budget, self.usage, self._under_way
        if budget.requests is not None and usage.requests + len(under_way) >= budget.requests:
            return f"budget: {usage.requests} of {budget.requests} requests are used"
        prompt = self.prompt_tokens(body_bytes)
        per_in, per_out = dearest(model.prices, prompt)
        most = wanted.tokens or model.max_output or USUAL_OUTPUT
        fits, least = most, min(most, max(wanted.least, SHORTEST_OUTPUT))
        if budget.usd is not None:
            left = budget.usd - usage.cost_usd - sum(one.usd for one in under_way) - prompt * per_in
            fits = min(fits, int(left / per_out / wanted.answers)) if per_out else fits
            if left < 0 or fits < least:
                spent = f"{usage.cost_usd:.4f} of {budget.usd:g} USD"
                return f"budget: {spent} are spent, the rest is too little for an answer"
        if budget.tokens is not None:
            used = usage.tokens_in + usage.tokens_out
            left_tokens = budget.tokens - used - sum(one.tokens for one in under_way) - prompt
            fits = min(fits, left_tokens // wanted.answers)
            if fits < least:
                return f"budget: {used} of {budget.tokens} tokens are used, the rest is too little for an answer"
        out = fits * wanted.answers
        return Admission(fits if fits < most else None, prompt, prompt * per_in + out * per_out, prompt + out)

    def end(self, reason: str) -> None:
        """No further requests, for a reason that shows only on the way."""
        self.ended = self.ended or reason

    def book(self, admission: Admission, usage: Usage, model: AllowedModel, body_bytes: int) -> Usage:
        """What the request used, instead of what was set aside; returns it with its cost."""
        usage = usage.model_copy(update={"cost_usd": cost_usd(usage, model.prices)})
        self._under_way.remove(admission)
        self.usage = self.usage + usage
        if usage.tokens_in and not usage.estimated_requests:
            self._ratio = max(LOWEST_RATIO, usage.tokens_in / max(1, body_bytes))
        self._changed.set()
        return usage
