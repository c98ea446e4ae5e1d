"""Open requests as a batch file of OpenAI or Anthropic, and answers from one: of a provider, or written by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from configs.errors import UserError
from configs.escaping import for_json_line
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm.buying import IMPORTED, call_row
from tasks.llm.cache import Reply, ReplyCache, readable
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Request, Requests

Format = Literal["openai", "anthropic"]
PRICE_FACTOR = 0.5
"""Both providers sell answers of a batch at half the price."""


@dataclass
class Exported:
    """What a batch file holds."""

    path: Path
    stages: dict[str, int] = field(default_factory=dict)
    """Stage -> requests."""

    @property
    def total(self) -> int:
        """Requests in the file."""
        return sum(self.stages.values())


@dataclass
class Imported:
    """What became of the lines of an answers file."""

    answers: int = 0
    still_open: int = 0
    """Requests of the last export that have no answer yet."""
    problems: list[str] = field(default_factory=list)
    """`file:line: reason` of each line that was not used."""


def export_requests(store: Store, path: Path, form: Format) -> Exported:
    """Write all requests that wait for an answer. Raises UserError if the file cannot be written."""
    waiting = Requests(cache_folder(store)).waiting()
    line = _openai_line if form == "openai" else _anthropic_line
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for request in waiting:
                file.write(for_json_line(line(request)) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return Exported(path, dict(Counter(request.stage for request in waiting)))


def import_answers(store: Store, path: Path) -> Imported:
    """Put answers where the next run finds them. Lines are told apart by their fields, so a file may mix them.

    - OpenAI: `{"custom_id", "response": {"status_code": 200, "body": <chat completion>}, "error": null}`
    - Anthropic: `{"custom_id", "result": {"type": "succeeded", "message": {...}}}`
    - by hand: `{"custom_id", "text"}`; `text` may be the answer's JSON object itself

    The same file may be imported again, e.g. after an interrupted import: each answer is booked once. A line that
    cannot be used is listed and does not stop the others. An answer is not judged here: one that is invalid costs the
    repair turn, like an answer that was sent for. Raises UserError if the file cannot be read.
    """
    folder = cache_folder(store)
    requests, cache, done = Requests(folder), ReplyCache(folder), Imported()
    calls: list[LlmCall] = []
    try:
        for number, line in _lines(path):
            try:
                request, reply = _answer(line, requests)
            except _Unusable as problem:
                done.problems.append(f"{path}:{number}: {problem}")
                continue
            cache.put(request.key, reply)
            requests.close(request.key)
            calls.append(call_row(request, reply, IMPORTED))
            done.answers += 1
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}") from error
    finally:
        store.append(calls)
    done.still_open = len(requests.waiting())
    return done


class _Unusable(ValueError):
    """A line of an answers file that holds no answer."""


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                yield number, line


def _openai_line(request: Request) -> dict[str, Any]:
    body = {
        "model": request.model.removeprefix("openai/"),
        "messages": list(request.messages),
        "max_completion_tokens": request.max_tokens,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return {"custom_id": request.custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def _anthropic_line(request: Request) -> dict[str, Any]:
    messages = list(request.messages)
    params: dict[str, Any] = {"model": request.model.removeprefix("anthropic/"), "max_tokens": request.max_tokens}
    system = [message["content"] for message in messages if message["role"] == "system"]
    if system:
        params["system"] = "\n\n".join(system)
    params["messages"] = [message for message in messages if message["role"] != "system"]
    if request.temperature is not None:
        params["temperature"] = request.temperature
    return {"custom_id": request.custom_id, "params": params}


def _answer(line: bytes, requests: Requests) -> tuple[Request, Reply]:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _Unusable(f"not UTF-8: {error}") from None
    except ValueError as error:
        raise _Unusable(f"not JSON: {error}") from None
    except RecursionError:
        raise _Unusable("nested too deeply") from None
    if not isinstance(record, dict) or not isinstance(record.get("custom_id"), str):
        raise _Unusable("no custom_id: each line is an object with the custom_id of its request")
    request = requests.named(record["custom_id"])
    if request is None:
        raise _Unusable(f"custom_id {record['custom_id'][:60]!r} is no request of this store")
    try:
        if "response" in record or record.get("error"):
            return request, _from_openai(record, request)
        if "result" in record:
            return request, _from_anthropic(record["result"], request)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _Unusable(f"not in the provider's form: {type(error).__name__} {error}") from None
    if "text" not in record:
        raise _Unusable("has none of 'response' (OpenAI), 'result' (Anthropic) and 'text' (by hand)")
    text = record["text"]
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return request, Reply.of(text, 0, 0, 0.0)


def _from_openai(record: dict[str, Any], request: Request) -> Reply:
    if record.get("error"):
        raise _Unusable(f"the provider gave no answer: {_message(record['error'])}")
    response = record["response"]
    body = response["body"]
    if response.get("status_code", 200) != 200:
        raise _Unusable(f"the provider answered {response['status_code']}: {_message(body.get('error', body))}")
    choice = body["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason") or "stop"
    text = readable(message.get("content"))
    if message.get("refusal") and not text:
        text, finish = message["refusal"], "refusal"
    usage = body.get("usage") or {}
    return _reply(request, text, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), finish)


def _from_anthropic(result: dict[str, Any], request: Request) -> Reply:
    if result["type"] != "succeeded":
        raise _Unusable(f"the provider gave no answer: {result['type']} {_message(result.get('error', ''))}".rstrip())
    message = result["message"]
    text = readable([block for block in message["content"] if block["type"] == "text"])
    finish = {"max_tokens": "length", "refusal": "refusal"}.get(message.get("stop_reason"), "stop")
    usage = message.get("usage") or {}
    return _reply(request, text, usage.get("input_tokens", 0), usage.get("output_tokens", 0), finish)


def _reply(request: Request, text: str, tokens_in: Any, tokens_out: Any, finish: str) -> Reply:
    from tasks.llm.client import list_price

    reply = Reply.of(text, tokens_in, tokens_out, 0.0, finish)
    return replace(reply, cost_usd=PRICE_FACTOR * list_price(request.model, reply.tokens_in, reply.tokens_out))


def _message(error: Any) -> str:
    while isinstance(error, dict) and ("error" in error or "message" in error):
        error = error.get("message") or error.get("error")
    return " ".join(str(error).split())[:300]
