"""Trajectories in ATIF, the Agent Trajectory Interchange Format of Harbor: the form in which isobench keeps them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

SCHEMA = "ATIF-v1.6"
MAX_CHARACTERS = 200_000
"""Of one text of a trajectory: what a tool printed can be endless. What is left out is said."""


class Trajectory:
    """Steps as they come; a tool's result belongs to the step that called it."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._calls: dict[str, dict[str, Any]] = {}
        """Id of a call -> the step that made it."""

    def say(self, source: str, message: str, timestamp: str | None = None) -> None:
        """What the user or the system says."""
        self._add({"source": source, "message": bounded(message)}, timestamp)

    def act(
        self,
        message: str = "",
        reasoning: str = "",
        timestamp: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> dict[str, Any]:
        """An answer of the model; calls are added to what is returned."""
        step: dict[str, Any] = {"source": "agent", "message": bounded(message)}
        if reasoning:
            step["reasoning_content"] = bounded(reasoning)
        if model:
            step["model_name"] = model
        if found := {name: value for name, value in (metrics or {}).items() if value is not None}:
            step["metrics"] = found
        return self._add(step, timestamp)

    def call(self, step: dict[str, Any], ident: str, name: str, arguments: Any) -> None:
        """A tool that a step calls. Arguments that are no object stand under `input`."""
        arguments = arguments if isinstance(arguments, dict) else {"input": arguments}
        step.setdefault("tool_calls", []).append(
            {"tool_call_id": ident, "function_name": name, "arguments": bounded_values(arguments)}
        )
        self._calls[ident] = step

    def observe(self, ident: str | None, content: str) -> None:
        """A tool's result; the result of an unknown call belongs to the last answer."""
        step = self._calls.get(ident or "")
        result: dict[str, Any] = {"content": bounded(content)}
        if step is not None:
            result = {"source_call_id": ident, **result}
        else:
            step = next((step for step in reversed(self.steps) if step["source"] == "agent"), None)
        if step is not None:
            step.setdefault("observation", {"results": []})["results"].append(result)

    def to_dict(
        self, agent: str, version: str, session: str, model: str | None, totals: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The whole; None without a step. `totals` are fields of `final_metrics`."""
        if not self.steps:
            return None
        whole: dict[str, Any] = {
            "schema_version": SCHEMA,
            "session_id": session,
            "agent": {"name": agent, "version": version, **({"model_name": model} if model else {})},
            "steps": self.steps,
        }
        final = {name: value for name, value in totals.items() if value is not None}
        return {**whole, "final_metrics": {**final, "total_steps": len(self.steps)}}

    def _add(self, step: dict[str, Any], timestamp: str | None) -> dict[str, Any]:
        step = {"step_id": len(self.steps) + 1, **({"timestamp": timestamp} if timestamp else {}), **step}
        self.steps.append(step)
        return step


def bounded(text: str) -> str:
    """A text of bounded length, its middle left out, and without characters that no JSON file can hold."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def bounded_values(value: Any, depth: int = 0) -> Any:
    """JSON-like data with every text bounded; what is nested deeper than 20, or no number of JSON, becomes a text."""
    if isinstance(value, str):
        return bounded(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if depth > 20:
        return bounded(json.dumps(value, default=str))
    if isinstance(value, dict):
        return {bounded(str(name)): bounded_values(item, depth + 1) for name, item in value.items()}
    return [bounded_values(item, depth + 1) for item in value] if isinstance(value, list) else value


def text_of(content: Any) -> str:
    """The text of a message or a tool's result, which may be a string, a list of blocks, or an object."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(text_of, content)))
    if isinstance(content, dict):
        for name in ("text", "content", "output"):
            if isinstance(content.get(name), str | list):
                return text_of(content[name])
        return json.dumps(content, ensure_ascii=False, default=str)
    return str(content)
