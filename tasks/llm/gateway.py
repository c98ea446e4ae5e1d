"""The one way to ask a model: a prompt and an answer type in, a validated answer with its cost out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from configs.models import LLMConfig
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm import budget, client
from tasks.llm.cache import Reply, ReplyCache, request_key
from tasks.llm.models import Answer, AnswerInvalid, LlmError, Prompt, Turn
from tasks.llm.parsing import Unparsable, parse_answer
from tasks.llm.prompts import render

T = TypeVar("T", bound=BaseModel)


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
    `llm_calls` what the money was for; every request is a row there, cached ones too (at a cost of 0).

    Raises LlmError (no model answered), AnswerInvalid (still invalid after the repair turn; a result, to be recorded)
    or BudgetExceeded (nothing sent).
    """
    calls: list[LlmCall] = []

    def note(model: str, reply: Reply | None, cached: bool, repaired: bool, outcome: str) -> None:
        calls.append(
            LlmCall(
                call_id=uuid.uuid4().hex,
                repo=repo,
                stage=stage,
                item=item,
                model=model,
                prompt_sha=prompt.sha,
                tokens_in=reply.tokens_in if reply else 0,
                tokens_out=reply.tokens_out if reply else 0,
                cost_usd=reply.cost_usd if reply and not cached else 0.0,
                cached=cached,
                repaired=repaired,
                outcome=outcome[:500],
                called_at=datetime.now(UTC),
            )
        )

    try:
        for model in (llm.model, *llm.fallbacks):
            try:
                return _converse(
                    llm, model, prompt=prompt, answer=answer, store=store, turns=tuple(turns), check=check, note=note
                )
            except LlmError as error:
                note(model, None, False, False, f"error: {error}")
                failure = error
        raise failure
    finally:
        if calls:
            store.append(calls)


def _converse(
    llm: LLMConfig,
    model: str,
    *,
    prompt: Prompt,
    answer: type[T],
    store: Store,
    turns: tuple[Turn, ...],
    check: Callable[[T], str | None] | None,
    note: Callable[[str, Reply | None, bool, bool, str], None],
) -> Answer[T]:
    replies: list[Reply] = []
    all_cached = True
    complaint = ""
    for attempt in (1, 2):
        reply, cached = _reply(llm, model, prompt=prompt, answer=answer, store=store, turns=turns)
        replies.append(reply)
        all_cached = all_cached and cached
        turns = (*turns, Turn("assistant", reply.text))
        try:
            value = _validate(reply, answer, check)
        except Unparsable as error:
            complaint = str(error)
            note(model, reply, cached, attempt == 2, f"invalid: {complaint}")
            turns = (*turns, Turn("user", render("repair", error=complaint).user))
            continue
        note(model, reply, cached, attempt == 2, "ok")
        return Answer(
            value=value,
            text=reply.text,
            turns=turns,
            model=model,
            prompt_sha=prompt.sha,
            attempts=attempt,
            cost_usd=sum(reply.cost_usd for reply in replies),
            tokens_in=sum(reply.tokens_in for reply in replies),
            tokens_out=sum(reply.tokens_out for reply in replies),
            cached=all_cached,
        )
    raise AnswerInvalid(
        complaint, model=model, prompt_sha=prompt.sha, attempts=2, cost_usd=sum(reply.cost_usd for reply in replies)
    )


def _validate(reply: Reply, answer: type[T], check: Callable[[T], str | None] | None) -> T:
    if reply.finish == "refusal":
        raise Unparsable(f"The model refused: {reply.text[:200]}")
    try:
        value = parse_answer(reply.text, answer)
    except Unparsable as error:
        if reply.finish == "length":
            raise Unparsable(f"The answer was cut off at the length limit. {error}") from None
        raise
    wrong = check(value) if check else None
    if wrong:
        raise Unparsable(wrong)
    return value


def _reply(
    llm: LLMConfig, model: str, *, prompt: Prompt, answer: type[BaseModel], store: Store, turns: Sequence[Turn]
) -> tuple[Reply, bool]:
    """The reply to a conversation, and whether it came from the cache."""
    schema = answer.model_json_schema()
    messages = _messages(prompt, schema, turns)
    parameters = {"temperature": llm.temperature, "max_tokens": llm.max_tokens, "api_base": llm.api_base}
    key = request_key(model, messages, parameters, schema)
    cache = ReplyCache(cache_folder(store))
    found = cache.get(key)
    if found is not None:
        return found, True
    with cache.claim(key):
        found = cache.get(key)  # somebody else may have asked while we waited
        if found is not None:
            return found, True
        worst = client.worst_cost(llm, model, messages) if llm.budget_usd is not None else 0.0
        with budget.reserve(store.root, llm.budget_usd, worst) as charge:
            reply = client.request(llm, model, messages, answer)
            charge.usd = reply.cost_usd
        cache.put(key, reply)
    return reply, False


def cache_folder(store: Store) -> Path:
    """Where replies are kept: `<store>/.cache/llm` for a local store."""
    return store.work.parent / "llm" if store.is_local else store.work / "llm"


def _messages(prompt: Prompt, schema: dict[str, Any], turns: Sequence[Turn]) -> list[dict[str, str]]:
    # the schema is in the text for every model: those that take it as a parameter do no worse, the others need it
    shape = "Answer with one JSON object and nothing else. It must match this JSON schema:\n" + json.dumps(schema)
    system = f"{prompt.system}\n\n{shape}" if prompt.system else shape
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": prompt.user},
        *({"role": turn.role, "content": turn.content} for turn in turns),
    ]
