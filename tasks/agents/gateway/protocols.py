"""The protocols that agents speak: which path is which, and how a refusal looks that their clients understand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.agents.gateway.models import Protocol

Shape = Literal["messages", "chat", "responses", "gemini"]
"""What requests and answers look like: OpenAI has two."""


@dataclass(frozen=True)
class Call:
    """What a request's line asks for."""

    protocol: Protocol
    shape: Shape
    kind: Literal["generate", "count", "models"]
    path: str
    """The path for the provider, behind its base URL; of Gemini with `{model}` in it."""
    model: str | None = None
    """Named by the path; None where the body names it, or where none is meant."""
    streams: bool | None = None
    """Said by the path; None where the body says it."""


_POSTS: dict[str, tuple[Protocol, Shape, Literal["generate", "count"], str]] = {
    "messages": ("anthropic", "messages", "generate", "/v1/messages"),
    "messages/count_tokens": ("anthropic", "messages", "count", "/v1/messages/count_tokens"),
    "chat/completions": ("openai", "chat", "generate", "/v1/chat/completions"),
    "responses": ("openai", "responses", "generate", "/v1/responses"),
}
_GEMINI = re.compile(r"/(v1|v1beta|v1alpha)/models/([\w.\-]+):(generateContent|streamGenerateContent|countTokens)")
_MODELS = re.compile(r"(?:/(v1|v1beta|v1alpha))?/models(?:/([\w.\-/:]+))?")


def call_of(method: str, path: str, headers: Mapping[str, str]) -> Call | None:
    """The call that a method and a raw path mean; None for all that agents may not ask."""
    if method == "GET" and (match := _MODELS.fullmatch(path)):
        protocol = _speaker(path, headers)
        return Call(protocol, "gemini" if protocol == "gemini" else "chat", "models", path, model=match[2])
    if method != "POST":
        return None
    if match := _GEMINI.fullmatch(path):
        version, model, verb = match.groups()
        kind: Literal["generate", "count"] = "count" if verb == "countTokens" else "generate"
        streams = verb == "streamGenerateContent"
        return Call("gemini", "gemini", kind, f"/{version}/models/{{model}}:{verb}", model, streams)
    known = _POSTS.get(path.removeprefix("/v1").lstrip("/")) if path.startswith("/") else None
    return Call(*known) if known else None


def _speaker(path: str, headers: Mapping[str, str]) -> Protocol:
    """Whose client asks, where the path does not say it."""
    if path.startswith(("/v1beta", "/v1alpha")) or "x-goog-api-key" in headers:
        return "gemini"
    return "anthropic" if "anthropic-version" in headers or "x-api-key" in headers else "openai"


def speaker(path: str, headers: Mapping[str, str]) -> Protocol:
    """Whose form of a refusal a client most likely understands."""
    return "anthropic" if path.startswith("/v1/messages") else _speaker(path, headers)


_KINDS: dict[int, tuple[str, str, str]] = {
    400: ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    403: ("permission_error", "permission_error", "PERMISSION_DENIED"),
    404: ("not_found_error", "invalid_request_error", "NOT_FOUND"),
    413: ("request_too_large", "invalid_request_error", "INVALID_ARGUMENT"),
    426: ("invalid_request_error", "invalid_request_error", "FAILED_PRECONDITION"),
    502: ("api_error", "server_error", "UNAVAILABLE"),
    504: ("timeout_error", "server_error", "DEADLINE_EXCEEDED"),
}
"""HTTP status -> Anthropic's error type, OpenAI's, Google's status."""


def refusal(protocol: Protocol, status: int, message: str, code: str | None = None) -> bytes:
    """The body of an error, in the protocol's own form. `code` is OpenAI's machine-readable word."""
    anthropic, openai, google = _KINDS.get(status, ("api_error", "server_error", "UNKNOWN"))
    body: dict[str, Any]
    if protocol == "anthropic":
        body = {"type": "error", "error": {"type": anthropic, "message": message}}
    elif protocol == "openai":
        body = {"error": {"message": message, "type": openai, "param": None, "code": code}}
    else:
        body = {"error": {"code": status, "message": message, "status": google}}
    return json.dumps(body).encode()


def models_listed(protocol: Protocol, names: Sequence[str], asked: str | None) -> bytes | None:
    """The answer to "which models are there", or about one of them; None if there is none of that name."""
    wanted = [name for name in names if asked is None or name == asked.removeprefix("models/")]
    if not wanted:
        return None
    if protocol == "gemini":
        found: list[dict[str, Any]] = [
            {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": ["generateContent"]}
            for name in wanted
        ]
        return json.dumps({"models": found} if asked is None else found[0]).encode()
    # one form for two: each client leaves out the other's members
    found = [
        {"id": name, "object": "model", "created": 0, "owned_by": "isobench",
         "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
        for name in wanted
    ]  # fmt: skip
    listed = {"object": "list", "data": found, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    return json.dumps(listed if asked is None else found[0]).encode()
