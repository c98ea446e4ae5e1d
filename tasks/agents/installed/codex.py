"""Codex: its rollout file has the steps and tokens, its events on stdout how it ended."""

from __future__ import annotations

import json
from typing import Any

from tasks.agents.installed.atif import Trajectory, text_of
from tasks.agents.installed.numbers import at, items, text, whole
from tasks.agents.installed.reading import Left
from tasks.agents.installed.told import Told

_CALLS = {"function_call": "arguments", "custom_tool_call": "input", "local_shell_call": "action"}
_RESULTS = ("function_call_output", "custom_tool_call_output")


def read(left: Left) -> Told:
    """See `reading.read`."""
    printed = list(left.objects(left.output()))
    rollout = _Rollout()
    for event in left.objects(left.record()):
        rollout.take(event)
    # without the rollout the last event still tells the tokens
    ends = [event for event in printed if event.get("type") in ("turn.completed", "turn.failed")]
    end = ends[-1] if ends else {}
    usage = rollout.usage or at(end, "usage") or {}
    failed = text(end, "error", "message") or next(
        (text(event, "message") for event in reversed(printed) if event.get("type") == "error" and not ends), ""
    )
    thread = next((text(event, "thread_id") for event in printed if event.get("type") == "thread.started"), "")
    told = Told(
        steps=rollout.answers or None,
        tokens_in=whole(usage.get("input_tokens")),
        cache_read=whole(usage.get("cached_input_tokens")),
        cache_write=whole(usage.get("cache_write_input_tokens")),
        tokens_out=whole(usage.get("output_tokens")),
        reasoning=whole(usage.get("reasoning_output_tokens")),
        stopped=text(end, "type").removeprefix("turn.") or None,
        failed=failed or (None if ends else "it said no more"),
        session=thread or rollout.session or None,
        version=rollout.version or None,
    )
    whole_record = rollout.trajectory.to_dict(
        "codex", rollout.version, told.session or "", rollout.model or None, told.totals
    )
    return told.model_copy(update={"trajectory": whole_record})


class _Rollout:
    """What the rollout says, line by line. What the model says in one answer is several lines, then a count."""

    def __init__(self) -> None:
        self.trajectory = Trajectory()
        self.answers = 0
        self.usage: dict[str, Any] | None = None
        self.session = self.version = self.model = ""
        self._open: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> None:
        payload, kind = at(event, "payload"), text(event, "type")
        if kind == "session_meta":
            self.session, self.version = text(payload, "id"), text(payload, "cli_version")
            if said := text(payload, "base_instructions", "text"):
                self.trajectory.say("system", said, text(event, "timestamp") or None)
        elif kind == "turn_context":
            self.model = text(payload, "model")
        elif kind == "response_item":
            self._item(payload, text(event, "timestamp") or None)
        elif kind == "event_msg" and text(payload, "type") == "token_count":
            self._count(at(payload, "info"))

    def _item(self, item: Any, timestamp: str | None) -> None:
        kind = text(item, "type")
        if kind == "message" and text(item, "role") != "assistant":
            self.trajectory.say(
                "user" if text(item, "role") == "user" else "system", text_of(at(item, "content")), timestamp
            )
        elif kind == "message":
            step = self._answer(timestamp)
            step["message"] = "\n".join(filter(None, [step["message"], text_of(at(item, "content"))]))
        elif kind == "reasoning":
            said = "\n".join(text_of(part) for part in [*items(item, "summary"), *items(item, "content")])
            if said:
                self._answer(timestamp)["reasoning_content"] = said
        elif kind in _CALLS:
            name = text(item, "name") or "local_shell"
            self.trajectory.call(self._answer(timestamp), text(item, "call_id"), name, _plain(at(item, _CALLS[kind])))
        elif kind in _RESULTS:
            self._open = None
            self.trajectory.observe(text(item, "call_id"), text_of(at(item, "output")))

    def _answer(self, timestamp: str | None) -> dict[str, Any]:
        if self._open is None:
            self.answers += 1
            self._open = self.trajectory.act(timestamp=timestamp, model=self.model or None)
        return self._open

    def _count(self, info: Any) -> None:
        self.usage = at(info, "total_token_usage") or self.usage
        last = at(info, "last_token_usage")
        step = next((step for step in reversed(self.trajectory.steps) if step["source"] == "agent"), None)
        if step is None or "metrics" in step or last is None:
            return
        found = {
            "prompt_tokens": whole(at(last, "input_tokens")),
            "completion_tokens": whole(at(last, "output_tokens")),
            "cached_tokens": whole(at(last, "cached_input_tokens")),
        }
        step["metrics"] = {name: value for name, value in found.items() if value is not None}


def _plain(arguments: Any) -> Any:
    """Arguments come as the text of a JSON object."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
