"""ATIF, the form in which trajectories are stored: what is read of one that somebody else wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 64 * 1024 * 1024
"""Of one trajectory."""


class NotATIF(ValueError):
    """The message says what is wrong."""


def parse(content: bytes) -> dict[str, Any]:
    """A trajectory of any version. Raises NotATIF for what is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotATIF(f"not JSON: {type(error).__name__}") from None
    if not isinstance(found, dict) or not str(found.get("schema_version", "")).startswith("ATIF-v"):
        raise NotATIF("no schema_version of ATIF")
    steps = found.get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise NotATIF("steps is no list of objects")
    return found


def steps_of_agent(trajectory: dict[str, Any]) -> int:
    """How many steps the agent itself made."""
    return sum(step.get("source") == "agent" for step in trajectory["steps"])


def prompt(trajectory: dict[str, Any]) -> str:
    """All that the agent was told before it did anything."""
    said = []
    for step in trajectory["steps"]:
        if step.get("source") == "agent":
            break
        said.append(_text(step.get("message")))
    return "\n".join(said)


def tool_results(trajectory: dict[str, Any]) -> Iterator[str]:
    """What its tools showed it, result by result."""
    for step in trajectory["steps"]:
        observation = step.get("observation")
        results = observation.get("results") if isinstance(observation, dict) else None
        for result in results if isinstance(results, list) else []:
            if isinstance(result, dict):
                yield _text(result.get("content"))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
