"""OpenHands: the runner in its file writes one event of the SDK to a line, each with what was used so far."""

from __future__ import annotations

import json
from typing import Any

from tasks.agents.installed.atif import Trajectory, text_of
from tasks.agents.installed.numbers import amount, at, items, text, whole
from tasks.agents.installed.reading import Left
from tasks.agents.installed.told import Told

DONE = "finished"


def read(left: Left) -> Told:
    """See `reading.read`."""
    trajectory = Trajectory()
    steps: dict[str, dict[str, Any]] = {}
    usage: Any = None
    status = error = ""
    for line in left.objects(left.record()):
        event, usage = at(line, "event"), at(line, "usage") or usage
        status = text(line, "status") or status
        kind = text(event, "kind")
        if kind in ("ConversationErrorEvent", "AgentErrorEvent"):
            error = text(event, "detail") or text(event, "error") or kind
        elif event is not None:
            _add(trajectory, steps, kind, event)
    tokens = at(usage, "accumulated_token_usage")
    told = Told(
        steps=len(steps),
        tokens_in=whole(at(tokens, "prompt_tokens")),
        cache_read=whole(at(tokens, "cache_read_tokens")),
        cache_write=whole(at(tokens, "cache_write_tokens")),
        tokens_out=whole(at(tokens, "completion_tokens")),
        reasoning=whole(at(tokens, "reasoning_tokens")),
        cost_usd=amount(at(usage, "accumulated_cost")) or None,  # 0: it knows no price
        stopped=status or None,
        failed=None if status == DONE else error or "it said no more",
    )
    model = text(usage, "model_name").removeprefix("openai/") or None
    return told.model_copy(update={"trajectory": trajectory.to_dict("openhands", "", "", model, told.totals)})


def _add(trajectory: Trajectory, steps: dict[str, dict[str, Any]], kind: str, event: Any) -> None:
    source, when = text(event, "source"), text(event, "timestamp") or None
    if kind == "ActionEvent" or (kind == "MessageEvent" and source == "agent"):
        # calls of one answer are events of their own
        ident = text(event, "llm_response_id") or text(event, "id")
        if ident not in steps:
            said = at(event, "thought") if kind == "ActionEvent" else at(event, "llm_message", "content")
            steps[ident] = trajectory.act(text_of(said), text(event, "reasoning_content"), when)
        if kind == "ActionEvent":
            _call(trajectory, steps[ident], event)
    elif kind == "MessageEvent":
        trajectory.say("user", text_of(at(event, "llm_message", "content")), when)
    elif kind == "SystemPromptEvent":
        trajectory.say("system", text_of(at(event, "system_prompt")), when)
    elif kind == "ObservationEvent":
        trajectory.observe(text(event, "tool_call_id"), text_of(items(event, "observation", "content")))


def _call(trajectory: Trajectory, step: dict[str, Any], event: Any) -> None:
    written = text(event, "tool_call", "arguments")
    try:
        arguments = json.loads(written)
    except (ValueError, RecursionError):
        arguments = written
    trajectory.call(step, text(event, "tool_call_id"), text(event, "tool_name"), arguments)
