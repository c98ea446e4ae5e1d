"""gemini-cli: its session file has the steps and tokens, the last event on stdout how it ended."""

from __future__ import annotations

from typing import Any

from tasks.agents.installed.atif import Trajectory, text_of
from tasks.agents.installed.numbers import at, items, text, total, whole
from tasks.agents.installed.reading import Left
from tasks.agents.installed.told import Told

_DENIED = "cancelled"


def read(left: Left) -> Told:
    """See `reading.read`. It tells no cost."""
    printed = list(left.objects(left.output()))
    result: dict[str, Any] = next((event for event in reversed(printed) if event.get("type") == "result"), {})
    init: dict[str, Any] = next((event for event in printed if event.get("type") == "init"), {})
    messages = _messages(left)
    trajectory = Trajectory()
    for message in messages:
        _add(trajectory, message)
    answers = [message for message in messages if text(message, "type") == "gemini"]
    calls = [call for message in answers for call in items(message, "toolCalls")]
    told = Told(
        steps=len(answers),
        tokens_in=total(whole(at(answer, "tokens", "input")) for answer in answers),
        cache_read=total(whole(at(answer, "tokens", "cached")) for answer in answers),
        tokens_out=total(_made(answer) for answer in answers),
        reasoning=total(whole(at(answer, "tokens", "thoughts")) for answer in answers),
        denied=tuple(text(call, "name") or "a tool" for call in calls if text(call, "status") == _DENIED),
        stopped=text(result, "status") or None,
        failed=_failure(result),
        session=text(init, "session_id") or None,
    )
    return told.model_copy(
        update={
            "trajectory": trajectory.to_dict(
                "gemini-cli", "", told.session or "", text(init, "model") or None, told.totals
            )
        }
    )


def _failure(result: dict[str, Any]) -> str | None:
    if not result:
        return "it said no more"
    if text(result, "status") == "success":
        return None
    return text(result, "error", "message") or text(result, "status") or "it does not say that it succeeded"


def _messages(left: Left) -> list[dict[str, Any]]:
    """Messages in order; of those that are written again, with what came of their calls, the last."""
    found: dict[str, dict[str, Any]] = {}
    for line in left.objects(left.record()):
        for message in [*items(line, "$set", "messages"), line]:
            if ident := text(message, "id"):
                found[ident] = message
    return list(found.values())


def _made(answer: dict[str, Any]) -> int | None:
    return total(whole(at(answer, "tokens", name)) for name in ("output", "thoughts"))


def _add(trajectory: Trajectory, message: dict[str, Any]) -> None:
    kind, when = text(message, "type"), text(message, "timestamp") or None
    said = text_of([part for part in items(message, "content") if "functionResponse" not in part]) or text(
        message, "content"
    )
    if kind == "gemini":
        thoughts = "\n".join(filter(None, (text(one, "description") for one in items(message, "thoughts"))))
        metrics = {
            "prompt_tokens": whole(at(message, "tokens", "input")),
            "completion_tokens": _made(message),
            "cached_tokens": whole(at(message, "tokens", "cached")),
        }
        step = trajectory.act(said, thoughts, when, metrics, text(message, "model") or None)
        for call in items(message, "toolCalls"):
            trajectory.call(step, text(call, "id"), text(call, "name"), at(call, "args"))
            for part in items(call, "result"):
                trajectory.observe(text(call, "id"), text_of(at(part, "functionResponse", "response")))
    elif said:
        trajectory.say("user" if kind == "user" else "system", said, when)
