"""Claude Code: its session file has the steps, the last event on stdout how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tasks.agents.installed.atif import Trajectory, text_of
from tasks.agents.installed.numbers import amount, at, items, text, total, whole
from tasks.agents.installed.reading import Left
from tasks.agents.installed.told import Told

_SYNTHETIC = "<synthetic>"
"""The model that messages of the program's own name: errors of the provider, interruptions."""
_MODEL_PROMPT = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")


def read(left: Left) -> Told:
    """See `reading.read`. `subtype` may be `success` with `is_error`, and success says nothing of denied edits."""
    printed = list(left.objects(left.output()))
    result: dict[str, Any] = next((event for event in reversed(printed) if event.get("type") == "result"), {})
    events = list(left.objects(left.record())) or printed
    steps, trajectory = _steps(events)
    models = at(result, "modelUsage")
    if isinstance(models, dict) and models:
        usages = [
            ([whole(at(one, name)) for name in _MODEL_PROMPT], whole(at(one, "outputTokens")))
            for one in models.values()
        ]
    else:  # it was ended before it could sum up
        usages = [(_prompt(at(step, "usage")), whole(at(step, "usage", "output_tokens"))) for step in steps]
    init = next((event for event in printed if event.get("subtype") == "init"), {})
    session = text(init, "session_id") or next((text(event, "sessionId") for event in events), "")
    version = text(init, "claude_code_version") or next((text(e, "version") for e in events if text(e, "version")), "")
    failed = text(result, "result") if result.get("is_error") else None
    told = Told(
        steps=len(steps),
        tokens_in=total(number for prompt, _ in usages for number in prompt),
        cache_read=total(prompt[1] for prompt, _ in usages),
        cache_write=total(prompt[2] for prompt, _ in usages),
        tokens_out=total(made for _, made in usages),
        cost_usd=amount(result.get("total_cost_usd")),
        denied=tuple(text(one, "tool_name") or "a tool" for one in items(result, "permission_denials")),
        stopped=text(result, "terminal_reason") or text(result, "subtype") or None,
        failed=failed or ("it said no more" if not result else None),
        session=session or None,
        version=version or None,
    )
    model = text(init, "model") or next((text(step, "model") for step in steps), "")
    return told.model_copy(
        update={"trajectory": trajectory.to_dict("claude-code", version, session, model or None, told.totals)}
    )


def _prompt(usage: Any) -> list[int | None]:
    """Tokens of a prompt: fresh, read from the cache, written to it."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return [whole(at(usage, name)) for name in names]


def _steps(events: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], Trajectory]:
    """The model's answers as the provider gave them, and the trajectory. One answer is several events of one id."""
    trajectory = Trajectory()
    answers: dict[str, dict[str, Any]] = {}
    steps: dict[str, dict[str, Any]] = {}
    for event in events:
        message, at_time = at(event, "message"), text(event, "timestamp") or None
        if event.get("type") == "user":
            for block in items(message, "content") or [text(message, "content")]:
                if at(block, "type") == "tool_result":
                    trajectory.observe(text(block, "tool_use_id"), text_of(at(block, "content")))
                elif said := text_of(block):
                    trajectory.say("user", said, at_time)
        elif event.get("type") == "assistant" and text(message, "model") == _SYNTHETIC:
            trajectory.say("system", text_of(at(message, "content")), at_time)
        elif event.get("type") == "assistant":
            ident = text(message, "id")
            answers[ident] = message  # the last one has the final usage
            if ident not in steps:
                steps[ident] = trajectory.act(timestamp=at_time, model=text(message, "model") or None)
            _add(trajectory, steps[ident], message)
    return list(answers.values()), trajectory


def _add(trajectory: Trajectory, step: dict[str, Any], message: Any) -> None:
    for block in items(message, "content"):
        kind = text(block, "type")
        if kind == "text":
            step["message"] = "\n".join(filter(None, [step["message"], text_of(block)]))
        elif kind == "thinking":
            step["reasoning_content"] = "\n".join(
                filter(None, [step.get("reasoning_content", ""), text(block, "thinking")])
            )
        elif kind == "tool_use":
            trajectory.call(step, text(block, "id"), text(block, "name"), at(block, "input"))
    usage = at(message, "usage")
    prompt = _prompt(usage)
    step["metrics"] = {
        name: value
        for name, value in {
            "prompt_tokens": total(prompt),
            "completion_tokens": whole(at(usage, "output_tokens")),
            "cached_tokens": prompt[1],
        }.items()
        if value is not None
    }
