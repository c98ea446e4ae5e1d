"""What a request may ask for, and the changes that its body gets: model, cap on output, counts in the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.agents.gateway.bodies import BadBody, Body
from tasks.agents.gateway.counting import number, part, parts
from tasks.agents.gateway.models import AllowedModel
from tasks.agents.gateway.protocols import Call
from tasks.agents.gateway.spending import Wanted

CAPS = {
    "messages": ("max_tokens",),
    "chat": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "gemini": ("maxOutputTokens", "max_output_tokens"),
}
"""Members that limit the output; the first is the one that is added where a request has none."""
REACHING = (
    "web_search", "web_fetch", "browser", "code_execution", "code_interpreter", "mcp", "file_search",
    "google_search", "googlesearch", "url_context", "urlcontext", "codeexecution", "googlemaps", "image_generation",
)  # fmt: skip
"""Beginnings of the names of tools that a provider runs itself: most reach the internet, all cost beyond tokens."""
OUTSIDE = ("mcp_servers", "web_search_options", "plugins", "models", "fallbacks", "route")
"""Members that make a provider ask other hosts, or other models than the one that is named (OpenRouter's)."""
USUAL_TIERS = (None, "auto", "default", "standard", "standard_only", "flex")


class NotAllowed(Exception):
    """A request that no attempt may make; the message says what to change."""


@dataclass(frozen=True)
class Asked:
    """A request that was read and may be made."""

    model: AllowedModel
    body: Body
    streams: bool
    hides_usage: bool
    """Counts are asked for by us, and the agent is not to see them."""
    wanted: Wanted


def read(call: Call, data: bytes, models: dict[str, AllowedModel]) -> Asked:
    """The request. Raises BadBody, UnknownModel, NotAllowed."""
    body = Body.read(data)
    values = body.values
    name = call.model or values.get("model")
    if call.model and values.get("model") not in (None, call.model, f"models/{call.model}"):
        raise NotAllowed("the body names another model than the path")
    model = models.get(name) if isinstance(name, str) else None
    if model is None:
        raise UnknownModel(str(name)[:200], list(models))
    if model.provider.translate is None and model.provider.protocol != call.protocol:
        raise NotAllowed(f"{name} is asked by the protocol {model.provider.protocol}, and this is {call.protocol}")
    if call.kind == "generate":
        _is_usual(values)
    for member in ("messages", "contents", "system"):
        _fetches_nothing(values.get(member))
    for item in parts(values, "input"):
        _fetches_nothing(item)
    streams = bool(values.get("stream")) if call.streams is None else call.streams
    asks_usage = part(values, "stream_options").get("include_usage") is True
    return Asked(model, body, streams, call.shape == "chat" and streams and not asks_usage, _wanted(call, values))


class UnknownModel(Exception):
    """The attempt has no such model."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"model {name!r} is not allowed in this attempt, which has {', '.join(known)}")


def _is_usual(values: dict[str, Any]) -> None:
    """Raises NotAllowed for what would reach other hosts, or would cost what no table of prices says."""
    for tool in parts(values, "tools"):
        for said in (str(tool.get("type") or ""), *(() if "type" in tool else tool)):
            if said.lower().startswith(REACHING):
                raise NotAllowed(f"tool {said!r} is run by the provider, outside of the sandbox: switch it off")
    for name in OUTSIDE:
        if values.get(name):
            raise NotAllowed(f"`{name}` would be asked by the provider, outside of the sandbox: leave it out")
    if values.get("background"):
        raise NotAllowed("background answers are not counted: leave `background` out")
    if values.get("service_tier") not in USUAL_TIERS or values.get("speed") not in (None, "standard"):
        raise NotAllowed("dearer service tiers are not allowed: leave `service_tier` and `speed` out")


MEDIA = ("image_url", "source", "file", "file_url", "fileData", "file_data", "video_url", "input_audio")
"""Members of a message that hold a picture or a file, or say where one is."""
PLACES = ("url", "uri", "fileUri", "file_uri", "image_url", "file_url", "video_url")
PRIVATE = ("input", "arguments", "args", "response", "output", "functionResponse", "functionCall")
"""Members in which agents' tools are given and say what they like."""


def _fetches_nothing(value: Any, is_media: bool = False, depth: int = 0) -> None:
    """Raises NotAllowed for pictures and files by their address: what looks them up is outside of the sandbox."""
    if isinstance(value, list) and depth < DEEPEST:
        for item in value:
            _fetches_nothing(item, is_media, depth + 1)
    if not isinstance(value, dict) or depth >= DEEPEST:
        return
    for name, inner in value.items():
        media = is_media or name in MEDIA
        if media and name in PLACES and isinstance(inner, str) and not inner.startswith("data:"):
            raise NotAllowed(f"{inner[:100]!r} would be fetched by the provider, outside of the sandbox")
        if name not in PRIVATE:
            _fetches_nothing(inner, media, depth + 1)


DEEPEST = 20


def _wanted(call: Call, values: dict[str, Any]) -> Wanted:
    where = _generation(values)[1] if call.shape == "gemini" else values
    limits = [found for name in CAPS[call.shape] if (found := number(where, name))]
    thinking = part(values, "thinking")
    return Wanted(
        tokens=min(limits) if limits else None,
        least=number(thinking, "budget_tokens") + 1 if thinking.get("type") == "enabled" else 0,
        answers=max(1, number(values, "n"), number(where, "candidateCount", "candidate_count")),
    )


def _generation(values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Gemini's settings, which have two spellings."""
    if "generationConfig" in values and "generation_config" in values:
        raise BadBody("the body has generationConfig in two spellings")
    name = "generation_config" if "generation_config" in values else "generationConfig"
    return name, part(values, name)


def for_provider(call: Call, asked: Asked, cap: int | None) -> bytes:
    """The body that is sent: as it came, but for the provider's name of the model, counts in the stream, the cap."""
    values = asked.body.values
    changes: dict[str, Any] = {}
    if call.model is None and asked.model.upstream != values.get("model"):
        changes["model"] = asked.model.upstream
    if asked.hides_usage:
        changes["stream_options"] = {**part(values, "stream_options"), "include_usage": True}
    if cap is not None and call.shape == "gemini":
        name, settings = _generation(values)
        changes[name] = {**settings, **dict.fromkeys(_present(call, settings), cap)}
    elif cap is not None:
        changes.update(dict.fromkeys(_present(call, values), cap))
    if call.model is not None and "model" in values:
        changes["model"] = f"models/{asked.model.upstream}"
    return asked.body.with_members(changes)


def _present(call: Call, where: dict[str, Any]) -> list[str]:
    names = [name for name in CAPS[call.shape] if where.get(name) is not None]
    return names or [CAPS[call.shape][0]]
