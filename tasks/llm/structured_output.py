"""The one way to ask a model: a prompt and an answer type in, a validated answer with its cost out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from configs.models import LLMConfig
from storage.ids import content_hash
from storage.store import Store, StoreError
from storage.tables import LlmCall
from tasks.llm import budget, client, stopping
from tasks.llm.cache import Reply, ReplyCache, request_key
from tasks.llm.calls import record
from tasks.llm.models import Answer, AnswerInvalid, LlmError, Prompt, Turn, Waiting
from tasks.llm.parsing import MAX_CHARACTERS, Unparsable, parse_answer
from tasks.llm.prompts import render
from tasks.llm.requests import Request, Requests

T = TypeVar("T", bound=BaseModel)

WAITING = "waiting for an answer"
"""What stands in the funnel and in `llm_calls` for a request that a batch will answer."""

IMPORTED = "imported"
"""What stands in `llm_calls` for an answer that came in a batch file."""

REFUSED = ("refusal", "content_filter")
"""Why a model stopped that did not want to answer; litellm gives Anthropic's `refusal` the second name."""


def ask(
    llm: LLMConfig,
    prompt: Prompt,
    answer: type[T],
    *,
    store: Store,
    repo: str,
    stage: str,
    item: str,
    check: Callable[[T], str | None] | None = None,
    turns: Sequence[Turn] = (),
) -> Answer[T]:
    """Ask for an `answer`; one that is invalid is sent back once, with the error quoted.

    `check` looks at a parsed answer and returns what is wrong with it, or None. `turns` goes on with an earlier
    conversation: `[*answer.turns, Turn("user", "...")]`. `repo`, `stage` and `item` (a sha, an id) say in table
    `llm_calls` what the money was for; every request is a row there, cached ones too (at a cost of 0; they are written
    some at a time, see `tasks.llm.calls`).

    With `llm.batch`, nothing is sent: a request without an answer is left open for `isobench batch export`.

    Raises LlmError (no model answered), AnswerInvalid (still invalid after the repair turn; a result, to be recorded),
    BudgetExceeded (nothing sent) or Waiting (left open).
    """
    calls: list[LlmCall] = []

    def request(model: str, turns: Sequence[Turn]) -> Request:
        schema = _schema(answer)
        messages = _messages(prompt, schema, turns)
        parameters = {"temperature": llm.temperature, "max_tokens": llm.max_tokens, "api_base": llm.api_base}
        return Request(
            key=request_key(model, messages, parameters, schema),
            model=model,
            messages=tuple(messages),
            max_tokens=llm.max_tokens,
            temperature=llm.temperature,
            repo=repo,
            stage=stage,
            item=item,
            prompt=f"{prompt.name} v{prompt.version}",
            prompt_sha=prompt.sha,
        )

    try:
        cache = ReplyCache(cache_folder(store))
        models = [llm.model, *llm.fallbacks]
        if llm.fallbacks:  # an answer of a fallback is paid for: a run that goes on does not try the others again
            models.sort(key=lambda model: cache.get(request(model, turns).key) is None)
        for model in models:
            try:
                return _converse(llm, partial(request, model), answer, store, turns, check, calls)
            except LlmError as error:
                calls.append(call_row(request(model, turns), None, f"error: {error}"))
                failure = error
        raise failure
    finally:
        record(store, calls)
        stopping.answered()


def _converse(
    llm: LLMConfig,
    request: Callable[[Sequence[Turn]], Request],
    answer: type[T],
    store: Store,
    turns: Sequence[Turn],
    check: Callable[[T], str | None] | None,
    calls: list[LlmCall],
) -> Answer[T]:
    replies: list[Reply] = []
    all_cached = True
    complaint = ""
    for attempt in (1, 2):
        asked = request(turns)
        try:
            reply, cached = _reply(llm, asked, answer, store)
        except Waiting:
            calls.append(call_row(asked, None, WAITING, repaired=attempt == 2))
            raise
        replies.append(reply)
        all_cached = all_cached and cached
        turns = (*turns, Turn("assistant", reply.text[:MAX_CHARACTERS]))
        try:
            value = _validate(reply, answer, check)
        except Unparsable as error:
            complaint = str(error)
            calls.append(call_row(asked, reply, f"invalid: {complaint}", cached=cached, repaired=attempt == 2))
            turns = (*turns, Turn("user", render("repair", error=complaint).user))
            continue
        calls.append(call_row(asked, reply, "ok", cached=cached, repaired=attempt == 2))
        return Answer(
            value=value,
            text=reply.text,
            turns=turns,
            model=asked.model,
            prompt_sha=asked.prompt_sha,
            attempts=attempt,
            cost_usd=sum(reply.cost_usd for reply in replies),
            tokens_in=sum(reply.tokens_in for reply in replies),
            tokens_out=sum(reply.tokens_out for reply in replies),
            cached=all_cached,
        )
    raise AnswerInvalid(
        complaint,
        model=asked.model,
        prompt_sha=asked.prompt_sha,
        attempts=2,
        cost_usd=sum(reply.cost_usd for reply in replies),
    )


def _validate(reply: Reply, answer: type[T], check: Callable[[T], str | None] | None) -> T:
    try:
        value = parse_answer(reply.text, answer)
    except Unparsable as error:
        if reply.finish in REFUSED:
            raise Unparsable(f"The model refused: {reply.text[:200].strip() or 'it said nothing'}") from None
        if reply.finish == "length":
            raise Unparsable(f"The answer was cut off at the length limit. {error}") from None
        raise
    wrong = check(value) if check else None
    if wrong:
        raise Unparsable(wrong)
    return value


def _reply(llm: LLMConfig, request: Request, answer: type[BaseModel], store: Store) -> tuple[Reply, bool]:
    """The reply to a conversation, and whether it came from the cache."""
    folder = cache_folder(store)
    cache, requests = ReplyCache(folder), Requests(folder)
    found = cache.get(request.key)
    if found is not None:
        return found, True
    if llm.batch:
        requests.leave_open(request)
        raise Waiting(f"{WAITING}: request {request.key[:12]} is open for a batch")
    with cache.claim(request.key):
        found = cache.get(request.key)  # somebody else may have asked while we waited
        if found is not None:
            return found, True
        requests.save(request)
        worst = client.worst_cost(llm, request.model, request.messages) if llm.budget_usd is not None else 0.0
        with budget.reserve(store.root, llm.budget_usd, worst) as charge:
            reply = client.request(llm, request.model, request.messages, answer, lost=charge.lost)
            charge.usd = reply.cost_usd
            cache.put(request.key, reply)
    return reply, False


def call_row(
    request: Request, reply: Reply | None, outcome: str, *, cached: bool = False, repaired: bool = False
) -> LlmCall:
    """The row of table `llm_calls` for one request; an answer from the cache costs nothing."""
    return LlmCall(
        call_id=_call_id(request, reply, outcome),
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


def decides(llm: LLMConfig) -> dict[str, Any]:
    """The settings that decide an answer, for cache keys: not how it is fetched, nor what it may cost."""
    wanted = {"model", "temperature", "max_tokens", "prompt_tokens", "fallbacks", "api_base"}
    return llm.model_dump(mode="json", include=wanted)


@lru_cache(maxsize=64)
def _schema(answer: type[BaseModel]) -> dict[str, Any]:
    return answer.model_json_schema()  # 3 ms, more than all the rest that a cached answer needs


def cache_folder(store: Store) -> Path:
    """Where replies are kept: `<store>/.cache/llm` for a local store. Raises StoreError if that is a link."""
    folder = store.work.parent / "llm" if store.is_local else store.work / "llm"
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link: replies would be written to wherever it leads; remove it")
    return folder


def _messages(prompt: Prompt, schema: dict[str, Any], turns: Sequence[Turn]) -> list[dict[str, str]]:
    # the schema is in the text for every model: those that take it as a parameter do no worse, the others need it
    shape = "Answer with one JSON object and nothing else. It must match this JSON schema:\n" + json.dumps(schema)
    system = f"{prompt.system}\n\n{shape}" if prompt.system else shape
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": prompt.user},
        *({"role": turn.role, "content": turn.content} for turn in turns),
    ]
