"""One reply: from the cache, or bought, and booked in table `llm_calls` so that a kill at any moment loses no cost."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel

from configs.models import LLMConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm import budget, client
from tasks.llm.cache import Reply, ReplyCache
from tasks.llm.calls import record
from tasks.llm.folder import cache_folder
from tasks.llm.models import LlmError, Waiting
from tasks.llm.requests import Request, Requests
from tasks.llm.sent import Sent

WAITING = "waiting for an answer"
"""What stands in the funnel and in `llm_calls` for a request that a batch will answer."""

IMPORTED = "imported"
"""What stands in `llm_calls` for an answer that came in a batch file."""

ANSWERED = "answered"
"""What stands in `llm_calls` until the answer was looked at."""

LOST = "lost: the process ended before the answer was kept; the cost is the most that it may have been"


@dataclass(frozen=True)
class Bought:
    """A reply, and the row that books it."""

    reply: Reply
    call_id: str | None
    """None: it came from the cache, and an earlier row has its cost."""


def buy(llm: LLMConfig, request: Request, answer: type[BaseModel], store: Store) -> Bought:
    """The reply to a conversation.

    A reply that a killed process kept and did not book is booked now, under the same `call_id`; a request that it sent,
    and whose reply it did not keep, is booked as `LOST` and sent again. Raises LlmError, BudgetExceeded, Waiting.
    """
    folder = cache_folder(store)
    cache, requests, sent = ReplyCache(folder), Requests(folder), Sent(folder)
    found = cache.get(request.key)
    if found is not None and sent.left(request.key) is None:
        return Bought(found, None)
    if found is None and llm.batch:
        requests.leave_open(request)
        raise Waiting(f"{WAITING}: request {request.key[:12]} is open for a batch")
    with cache.claim(request.key):
        found, left = cache.get(request.key), sent.left(request.key)  # somebody else may have asked while we waited
        if found is not None and left is None:
            return Bought(found, None)
        if found is not None and left is not None:
            return _booked(store, request, found, left, sent)
        if left is not None:
            lost = call_row(request, None, LOST, call_id=left)
            record(store, [lost.model_copy(update={"cost_usd": _worst_cost(llm, request)})])
        requests.save(request)
        worst = client.worst_cost(llm, request.model, request.messages) if llm.budget_usd is not None else 0.0
        with budget.reserve(store.root, llm.budget_usd, worst) as charge:
            call_id = sent.begin(request.key)
            try:
                reply = client.request(llm, request.model, request.messages, answer, lost=charge.lost)
            except BaseException:
                sent.booked(request.key)  # this process lives, and its caller says what happened
                raise
            charge.usd = reply.cost_usd
            cache.put(request.key, reply)
        return _booked(store, request, reply, call_id, sent)


def _booked(store: Store, request: Request, reply: Reply, call_id: str, sent: Sent) -> Bought:
    """A row before the mark goes: killed between the two, the next process writes the same row again."""
    record(store, [call_row(request, reply, ANSWERED, call_id=call_id)])
    sent.booked(request.key)
    return Bought(reply, call_id)


def _worst_cost(llm: LLMConfig, request: Request) -> float:
    try:
        return client.worst_cost(llm, request.model, request.messages)
    except LlmError:  # no price is known
        return 0.0


def call_row(
    request: Request,
    reply: Reply | None,
    outcome: str,
    *,
    cached: bool = False,
    repaired: bool = False,
    call_id: str | None = None,
) -> LlmCall:
    """The row of table `llm_calls` for one request; an answer from the cache costs nothing."""
    return LlmCall(
        call_id=call_id or _call_id(request, reply, outcome),
        request_key=request.key,
        repo=request.repo,
        stage=request.stage,
        item=request.item,
        model=request.model,
        prompt=request.prompt,
        prompt_sha=request.prompt_sha,
        tokens_in=reply.tokens_in if reply else 0,
        tokens_out=reply.tokens_out if reply else 0,
        cost_usd=reply.cost_usd if reply and not cached else 0.0,
        cached=cached,
        repaired=repaired,
        outcome=outcome[:500],
        called_at=datetime.now(UTC),
    )


def _call_id(request: Request, reply: Reply | None, outcome: str) -> str:
    if outcome in (WAITING, IMPORTED):  # said again, it is the same row
        return content_hash(outcome, request.key, reply.text if reply else "", length=32)
    return uuid.uuid4().hex
