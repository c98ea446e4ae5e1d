"""One request through litellm, with retries. The only file that imports litellm, and only when a request is sent."""

from __future__ import annotations

import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from queue import Empty, Queue
from typing import Any

from pydantic import BaseModel

from configs.models import LLMConfig
from tasks.llm import limits, stopping
from tasks.llm.cache import Reply, readable
from tasks.llm.models import LlmError
from tasks.llm.tokens import count_tokens

BACKOFF_S = 1.0
"""First pause between tries; doubles each time, with jitter, up to MAX_PAUSE_S."""
MAX_PAUSE_S = 60.0
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)", re.IGNORECASE)
_SECRET_SHAPE = re.compile(r"\b(sk|hf|ghp|gho|github_pat|AKIA|xox[bp])[-_]?[A-Za-z0-9*_-]{6,}")


@lru_cache
def load_litellm() -> Any:
    """litellm, set up. The first call of a process takes seconds."""
    # 5 s of import, hence lazy; without the variables it fetches lists from the internet first
    for name in ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"):
        os.environ.setdefault(name, "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it takes all variables of an .env file that it finds
    import litellm

    litellm.telemetry = False
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)  # what goes wrong is raised; its log quotes answers
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    from tasks.llm.demo import register

    register(litellm)
    return litellm


def request(
    llm: LLMConfig,
    model: str,
    messages: Sequence[dict[str, str]],
    answer: type[BaseModel],
    lost: Callable[[bool], None] = lambda again: None,
) -> Reply:
    """Send one request and wait for its answer.

    Rate limits, server faults, timeouts and broken connections are tried again, `llm.retries` times, after the pause
    that the server asked for or an exponential one. Raises LlmError when that did not help, or at once for what no
    retry mends (bad key, unknown model, prompt too long). Raises Stopped after Ctrl-C.

    `lost(again)` is called after each try that timed out or whose connection broke: the provider may have answered all
    the same, and bill it. `again` says whether another try follows; what it raises ends the request.
    """
    litellm = load_litellm()
    options: dict[str, Any] = {
        "model": model,
        "messages": list(messages),
        "max_tokens": llm.max_tokens,
        "timeout": llm.timeout_s,
        "num_retries": 0,  # ours are the only retries
        "max_retries": 0,
    }
    if llm.temperature is not None:
        options["temperature"] = llm.temperature
    if llm.api_base is not None:
        options["api_base"] = llm.api_base
    if _takes_schema(litellm, model):
        options["response_format"] = answer
    for attempt in range(llm.retries + 1):
        try:
            with _booked(llm, model, messages) as used, limits.gate(model, llm.max_concurrency):
                stopping.sending()
                reply = _reply(litellm, model, _in_time(llm.timeout_s, lambda: litellm.completion(**options)))
                used[1] = reply.tokens_in + reply.tokens_out
                return reply
        except stopping.Stopped:
            raise
        except Exception as error:  # litellm raises a class per provider fault, and some of its own
            if isinstance(error, litellm.BadRequestError) and options.pop("response_format", None) is not None:
                continue  # this server knows no response_format: the schema stands in the prompt anyway
            transient = _is_transient(litellm, error)
            if _may_be_billed(litellm, error):
                lost(transient and attempt < llm.retries)
            if not transient or attempt == llm.retries:
                tries = f" (after {attempt + 1} tries)" if attempt else ""
                advice = "" if transient else _missing_keys(litellm, model)
                raise LlmError(f"{model}: {describe(error)}{tries}{advice}", transient=transient) from None
            stopping.pause(pause_s(error, attempt))
    raise LlmError(f"{model}: no try left", transient=True)


@contextmanager
def _booked(llm: LLMConfig, model: str, messages: Sequence[dict[str, str]]) -> Iterator[list[float]]:
    if llm.tokens_per_minute is None:
        yield [0.0, 0.0]
        return
    asked = sum(count_tokens(model, message["content"]) for message in messages)
    with limits.pace(model, llm.tokens_per_minute).book(asked + llm.max_tokens) as entry:
        yield entry


def worst_cost(llm: LLMConfig, model: str, messages: Sequence[dict[str, str]]) -> float:
    """Upper bound of what a request may cost, in US dollars.

    Raises LlmError if the model has no known price: then a budget cannot be kept.
    """
    litellm = load_litellm()
    try:
        price = litellm.get_model_info(model)
        per_in, per_out = price["input_cost_per_token"] or 0.0, price["output_cost_per_token"] or 0.0
    except Exception:
        raise LlmError(
            f"{model} has no known price, so llm.budget_usd cannot be kept: leave it out for this model",
            transient=False,
        ) from None
    # two bytes per token is fewer than any tokenizer averages on text (a Chinese character is three bytes) and on code,
    # so the bound holds
    tokens_in = sum(len(message["content"].encode()) for message in messages) / 2
    return float(tokens_in * per_in + llm.max_tokens * per_out)


def list_price(model: str, tokens_in: int, tokens_out: int) -> float:
    """What so many tokens cost, in US dollars; 0 if the model has no known price."""
    litellm = load_litellm()
    try:
        return float(sum(litellm.cost_per_token(model, prompt_tokens=tokens_in, completion_tokens=tokens_out)))
    except Exception:  # no price known for this model
        return 0.0


def pause_s(error: BaseException, attempt: int) -> float:
    """Seconds before the next try: what `Retry-After` says, else exponential; jitter on top of both."""
    asked = _retry_after(error)
    pause = asked if asked is not None else BACKOFF_S * 2**attempt * random.uniform(0.5, 1.0)
    return min(MAX_PAUSE_S, pause + random.uniform(0, 0.1 * BACKOFF_S))


def describe(error: BaseException) -> str:
    """First lines of an error, without any secret of this process."""
    text = re.sub(r"\s+", " ", getattr(error, "message", None) or str(error))
    text = re.sub(r"^(litellm\.)?(\w+Error: )+", "", text)  # litellm repeats the class name
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 6:
            text = text.replace(value, "***")
    return f"{type(error).__name__}: {_SECRET_SHAPE.sub('***', text)[:400]}"


def _reply(litellm: Any, model: str, response: Any) -> Reply:
    choice = response.choices[0]
    text = readable(choice.message.content)
    finish = choice.finish_reason or "stop"
    refusal = (getattr(choice.message, "provider_specific_fields", None) or {}).get("refusal")
    if refusal and not text:
        text, finish = str(refusal), "refusal"
    usage = getattr(response, "usage", None)
    try:
        cost = float(litellm.completion_cost(response, model=model))
    except Exception:  # no price known for this model
        cost = 0.0
    tokens_in, tokens_out = getattr(usage, "prompt_tokens", 0), getattr(usage, "completion_tokens", 0)
    return Reply.of(text, tokens_in, tokens_out, cost, finish)


def _takes_schema(litellm: Any, model: str) -> bool:
    try:
        return bool(litellm.supports_response_schema(model=model))
    except Exception:
        return False


class TooSlow(TimeoutError):
    """The whole answer did not come in time."""


def _in_time(timeout_s: float, call: Callable[[], Any]) -> Any:
    """`call()`, or TooSlow. The client's own timeout is for a pause: a server that dribbles never reaches it."""
    outcome: Queue[tuple[Any, BaseException | None]] = Queue()

    def run() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:  # handed over to the thread that waits
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=timeout_s)
    except Empty:
        raise TooSlow(f"no whole answer within {timeout_s:g} s (llm.timeout_s)") from None
    if error is not None:
        raise error
    return value


def _is_transient(litellm: Any, error: BaseException) -> bool:
    if isinstance(error, TooSlow):
        return True
    # a 429 that no waiting mends, and a key that is not set, which litellm takes for a fault of the server
    if "insufficient_quota" in str(error) or "Missing credentials" in str(error):
        return False
    kinds = (litellm.RateLimitError, litellm.Timeout, litellm.ServiceUnavailableError, litellm.APIConnectionError)
    status = getattr(error, "status_code", None)
    return isinstance(error, kinds) or (isinstance(status, int) and (status >= 500 or status in (408, 409, 429)))


def _may_be_billed(litellm: Any, error: BaseException) -> bool:
    """The request went out, and its answer did not get here in time or in one piece."""
    import httpx

    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    if any(isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout)) for cause in causes):
        return False
    late = (TooSlow, litellm.Timeout, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError)
    return any(isinstance(cause, late) or getattr(cause, "status_code", None) in (408, 504) for cause in causes)


def _missing_keys(litellm: Any, model: str) -> str:
    """What to do if the model's key is not set; nothing if it is, or if nobody knows."""
    try:
        missing = litellm.validate_environment(model)["missing_keys"]
    except Exception:
        return ""
    return f" ({', '.join(missing)} is not set: put it into the environment or .env)" if missing else ""


def _retry_after(error: BaseException) -> float | None:
    for headers in (
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    ):
        value = headers.get("retry-after") if headers else None
        if value is not None:
            try:
                return max(0.0, float(value))
            except ValueError:
                return _until(value)
    return None


def _until(http_date: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(http_date).timestamp() - time.time())
    except ValueError:
        return None
