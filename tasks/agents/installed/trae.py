"""TRAE: one JSON file has it all. It tells no cost."""

from __future__ import annotations

import json
from typing import Any

from tasks.agents.installed.atif import Trajectory, text_of
from tasks.agents.installed.numbers import at, items, text, total, whole
from tasks.agents.installed.reading import Left
from tasks.agents.installed.told import Told


def read(left: Left) -> Told:
    """See `reading.read`."""
    record = left.record()
    if not record:
        return Told(failed="it wrote no record: it may not have reached its model")
    said = json.loads(record)
    trajectory = Trajectory()
    for message in (
        items(items(said, "llm_interactions")[0], "input_messages") if items(said, "llm_interactions") else ()
    ):
        trajectory.say("system" if text(message, "role") == "system" else "user", text_of(at(message, "content")))
    for step in items(said, "agent_steps"):
        _add(trajectory, step)
    usages = [at(one, "response", "usage") for one in items(said, "llm_interactions")]
    errors = [text(step, "error") for step in items(said, "agent_steps") if text(step, "error")]
    done = at(said, "success") is True
    told = Told(
        steps=len(items(said, "agent_steps")),
        tokens_in=total(whole(at(usage, "input_tokens")) for usage in usages),
        cache_read=total(whole(at(usage, "cache_read_input_tokens")) for usage in usages),
        cache_write=total(whole(at(usage, "cache_creation_input_tokens")) for usage in usages),
        tokens_out=total(whole(at(usage, "output_tokens")) for usage in usages),
        reasoning=total(whole(at(usage, "reasoning_tokens")) for usage in usages),
        stopped="success" if done else "no success",
        failed=None if done else (errors[-1] if errors else text(said, "final_result") or "it does not say why"),
    )
    model = text(said, "model") or None
    return told.model_copy(update={"trajectory": trajectory.to_dict("trae", "", "", model, told.totals)})


def _add(trajectory: Trajectory, step: Any) -> None:
    answer = at(step, "llm_response")
    if answer is None:
        return
    metrics = {
        "prompt_tokens": whole(at(answer, "usage", "input_tokens")),
        "completion_tokens": whole(at(answer, "usage", "output_tokens")),
    }
    found = trajectory.act(text_of(at(answer, "content")), metrics=metrics)
    for call in items(answer, "tool_calls"):
        trajectory.call(found, text(call, "call_id"), text(call, "name"), at(call, "arguments"))
    for result in items(step, "tool_results"):
        trajectory.observe(text(result, "call_id"), text(result, "result") or text(result, "error"))
