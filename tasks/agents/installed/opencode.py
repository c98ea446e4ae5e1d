"""opencode: its events on stdout have it all. It keeps its own record in a database, which is not read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tasks.agents.installed.atif import Trajectory, text_of
from tasks.agents.installed.numbers import amount, at, text, total, whole
from tasks.agents.installed.reading import Left
from tasks.agents.installed.told import Told

_REFUSED = ("rejected permission", "permission denied", "prevents you from using")
"""How it says that a tool was denied."""


def read(left: Left) -> Told:
    """See `reading.read`. The task itself is not among its events."""
    trajectory = Trajectory()
    steps: dict[str, dict[str, Any]] = {}
    ends: list[Any] = []
    denied: list[str] = []
    error = session = ""
    for event in left.objects(left.output()):
        session = session or text(event, "sessionID")
        part, kind = at(event, "part"), text(event, "type")
        if kind == "error":
            error = text(event, "error", "data", "message") or text(event, "error", "name") or "an error"
            continue
        ident = text(part, "messageID")
        if kind not in ("step_start", "text", "reasoning", "tool_use", "step_finish") or not ident:
            continue
        step = steps.setdefault(ident, {}) or trajectory.act(timestamp=_when(event))
        steps[ident] = step
        if kind == "text":
            step["message"] = "\n".join(filter(None, [step["message"], text(part, "text")]))
        elif kind == "reasoning":
            step["reasoning_content"] = text(part, "text")
        elif kind == "tool_use":
            trajectory.call(step, text(part, "callID"), text(part, "tool"), at(part, "state", "input"))
            said = text(part, "state", "output") or text(part, "state", "error")
            trajectory.observe(text(part, "callID"), text_of(said))
            if any(words in text(part, "state", "error").lower() for words in _REFUSED):
                denied.append(text(part, "tool"))
        elif kind == "step_finish":
            ends.append(part)
            step["metrics"] = _metrics(part)
    cost = [amount(at(part, "cost")) or 0.0 for part in ends]
    stopped = text(ends[-1], "reason") if ends else ""
    told = Told(
        steps=len(ends),
        tokens_in=total(_prompt(part) for part in ends),
        cache_read=total(whole(at(part, "tokens", "cache", "read")) for part in ends),
        cache_write=total(whole(at(part, "tokens", "cache", "write")) for part in ends),
        tokens_out=total(_made(part) for part in ends),
        reasoning=total(whole(at(part, "tokens", "reasoning")) for part in ends),
        cost_usd=sum(cost) or None,  # 0: it knows no price
        denied=tuple(denied),
        stopped=stopped or None,
        failed=error or (None if stopped == "stop" else "it said no more"),
        session=session or None,
    )
    return told.model_copy(update={"trajectory": trajectory.to_dict("opencode", "", session, None, told.totals)})


def _prompt(part: Any) -> int | None:
    """Tokens of a prompt; `input` is what no cache had."""
    fresh = whole(at(part, "tokens", "input"))
    return total([fresh, *(whole(at(part, "tokens", "cache", name)) for name in ("read", "write"))])


def _made(part: Any) -> int | None:
    """Tokens that were made; `output` is without reasoning."""
    return total(whole(at(part, "tokens", name)) for name in ("output", "reasoning"))


def _metrics(part: Any) -> dict[str, Any]:
    found = {
        "prompt_tokens": _prompt(part),
        "completion_tokens": _made(part),
        "cached_tokens": whole(at(part, "tokens", "cache", "read")),
    }
    return {name: value for name, value in found.items() if value is not None}


def _when(event: Any) -> str | None:
    milliseconds = whole(at(event, "timestamp"))
    known = milliseconds is not None and milliseconds < 4e12
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC).isoformat() if known else None
