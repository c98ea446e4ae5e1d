"""mini-swe-agent: one JSON file has it all. Its exit code is 0 whatever happens; `exit_status` tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tasks.agents.installed.atif import Trajectory, text_of
from tasks.agents.installed.numbers import amount, at, items, text, total, whole
from tasks.agents.installed.reading import Left
from tasks.agents.installed.told import Told

DONE = "Submitted"


def read(left: Left) -> Told:
    """See `reading.read`. An agent that never reached its model writes no file at all."""
    record = left.record()
    if not record:
        return Told(failed="it wrote no record: it may not have reached its model")
    whole_record = json.loads(record)
    trajectory = Trajectory()
    usages = []
    for message in items(whole_record, "messages"):
        if text(message, "role") == "assistant":
            usages.append(at(message, "extra", "response", "usage"))
        _add(trajectory, message)
    status = text(whole_record, "info", "exit_status")
    told = Told(
        steps=len(usages),
        tokens_in=total(whole(at(usage, "prompt_tokens")) for usage in usages),
        cache_read=total(whole(at(usage, "prompt_tokens_details", "cached_tokens")) for usage in usages),
        tokens_out=total(whole(at(usage, "completion_tokens")) for usage in usages),
        reasoning=total(whole(at(usage, "completion_tokens_details", "reasoning_tokens")) for usage in usages),
        cost_usd=amount(at(whole_record, "info", "model_stats", "instance_cost")) or None,  # 0: it knows no price
        stopped=status or None,
        failed=None if status == DONE else status or "it did not end by itself",
        version=text(whole_record, "info", "mini_version") or None,
    )
    model = next((text(message, "extra", "response", "model") for message in items(whole_record, "messages")
                  if text(message, "role") == "assistant"), "")  # fmt: skip
    return told.model_copy(
        update={"trajectory": trajectory.to_dict("mini-swe-agent", told.version or "", "", model or None, told.totals)}
    )


def _add(trajectory: Trajectory, message: Any) -> None:
    role, said = text(message, "role"), text_of(at(message, "content"))
    when = amount(at(message, "extra", "timestamp"))
    timestamp = datetime.fromtimestamp(when, UTC).isoformat() if when is not None and when < 4e9 else None
    if role == "assistant":
        usage = at(message, "extra", "response", "usage")
        metrics = {
            "prompt_tokens": whole(at(usage, "prompt_tokens")),
            "completion_tokens": whole(at(usage, "completion_tokens")),
            "cached_tokens": whole(at(usage, "prompt_tokens_details", "cached_tokens")),
        }
        step = trajectory.act(said, text(message, "reasoning_content"), timestamp, metrics)
        for call in items(message, "tool_calls"):
            arguments = text(call, "function", "arguments")
            try:
                found = json.loads(arguments)
            except (ValueError, RecursionError):
                found = arguments
            trajectory.call(step, text(call, "id"), text(call, "function", "name"), found)
    elif role == "tool":
        trajectory.observe(text(message, "tool_call_id"), text(message, "extra", "raw_output") or said)
    elif role in ("user", "system") and said:
        trajectory.say(role, said, timestamp)
