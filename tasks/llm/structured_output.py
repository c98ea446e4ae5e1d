"""The one way to ask a model: a prompt and an answer type in, a validated answer with its cost out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from pydantic import BaseModel

from configs.models import LLMConfig
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm import stopping
from tasks.llm.buying import WAITING, buy, call_row
from tasks.llm.cache import Reply, ReplyCache, request_key
from tasks.llm.calls import record
from tasks.llm.folder import cache_folder
from tasks.llm.models import Answer, AnswerInvalid, LlmError, Prompt, Turn, Waiting
from tasks.llm.parsing import MAX_CHARACTERS, Unparsable, parse_answer
from tasks.llm.prompts import render
from tasks.llm.requests import Request

T = TypeVar("T", bound=BaseModel)

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
            bought = buy(llm, asked, answer, store)
        except Waiting:
            calls.append(call_row(asked, None, WAITING, repaired=attempt == 2))
            raise
        reply, cached = bought.reply, bought.call_id is None
        row = partial(call_row, asked, reply, cached=cached, repaired=attempt == 2, call_id=bought.call_id)
        replies.append(reply)
        all_cached = all_cached and cached
        turns = (*turns, Turn("assistant", reply.text[:MAX_CHARACTERS]))
        try:
            value = _validate(reply, answer, check)
        except Unparsable as error:
            complaint = str(error)
            calls.append(row(f"invalid: {complaint}"))
            turns = (*turns, Turn("user", render("repair", error=complaint).user))
            continue
        calls.append(row("ok"))
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


def decides(llm: LLMConfig) -> dict[str, Any]:
    """The settings that decide an answer, for cache keys: not how it is fetched, nor what it may cost."""
    wanted = {"model", "temperature", "max_tokens", "prompt_tokens", "fallbacks", "api_base"}
    return llm.model_dump(mode="json", include=wanted)


@lru_cache(maxsize=64)
def _schema(answer: type[BaseModel]) -> dict[str, Any]:
    return answer.model_json_schema()  # 3 ms, more than all the rest that a cached answer needs


def _messages(prompt: Prompt, schema: dict[str, Any], turns: Sequence[Turn]) -> list[dict[str, str]]:
    # the schema is in the text for every model: those that take it as a parameter do no worse, the others need it
    shape = "Answer with one JSON object and nothing else. It must match this JSON schema:\n" + json.dumps(schema)
    system = f"{prompt.system}\n\n{shape}" if prompt.system else shape
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": prompt.user},
        *({"role": turn.role, "content": turn.content} for turn in turns),
    ]
