"""From what a turn wants to the tool with which this agent does that: agents name their tools as they like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.agents.scripted.conversation import Tool
from tasks.agents.scripted.script import Call, Turn

SHELLS = (
    "Bash", "bash", "exec_command", "shell_command", "shell", "local_shell", "run_shell_command", "terminal",
    "execute_bash", "execute_command", "run_command", "run_in_terminal",
)  # fmt: skip
"""What agents call the tool that runs a command: Claude Code, mini-swe-agent, TRAE and opencode, Codex, gemini-cli,
OpenHands, and others."""
COMMANDS = ("command", "cmd", "script")
"""What they call its argument."""
FINISHES = ("task_done", "finish", "complete_task", "attempt_completion", "submit")
"""What some call the tool that ends the task: TRAE, OpenHands, gemini-cli, Cline, SWE-agent."""
SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
"""What a command of mini-swe-agent prints to end the task."""


class NoTool(LookupError):
    """The agent offers no tool that does what the script wants."""


def words(turn: Turn, tools: Sequence[Tool], asked: str) -> tuple[str, Call | None, bool]:
    """(text, call, whether the call takes a text) for a turn. `asked` is all of the request. Raises NoTool."""
    if turn.run is not None and not tools:
        return "\n\n".join(filter(None, [turn.say, f"```bash\n{turn.run}\n```"])), None, False
    if turn.run is not None:
        return turn.say, _shell(turn.run, tools), False
    if turn.call is not None:
        tool = next((tool for tool in tools if tool.name == turn.call.name), None)
        return turn.say, turn.call, tool is not None and tool.free
    if turn.finish is None:
        return turn.say, None, False
    return _finish(turn, tools, asked)


def _finish(turn: Turn, tools: Sequence[Tool], asked: str) -> tuple[str, Call | None, bool]:
    text = turn.finish or ""
    if SUBMIT in asked:
        run = turn.model_copy(update={"finish": None, "run": f"echo {SUBMIT}", "say": turn.say or text})
        return words(run, tools, asked)
    tool = next((tool for tool in tools if tool.name in FINISHES), None)
    if tool is None:
        return "\n\n".join(filter(None, [turn.say, text])), None, False
    return turn.say or text, Call(name=tool.name, arguments=_fill(tool, {}, text)), False


def _shell(command: str, tools: Sequence[Tool]) -> Call:
    for name in SHELLS:
        tool = next((tool for tool in tools if tool.name == name), None)
        argument = next((word for word in COMMANDS if tool is not None and word in tool.properties), None)
        if tool is not None and argument is not None:
            words = tool.properties[argument].get("type") == "array"
            return Call(
                name=name, arguments=_fill(tool, {argument: ["bash", "-lc", command] if words else command}, command)
            )
    names = ", ".join(tool.name for tool in tools)
    raise NoTool(f"the script runs a command, and the agent offers no tool that does: {names}")


def _fill(tool: Tool, given: dict[str, Any], text: str) -> dict[str, Any]:
    """The arguments that a call needs: those given, and something for each other that is required."""
    blank: dict[Any, Any] = {"boolean": False, "integer": 0, "number": 0, "array": [], "object": {}}
    found = dict(given)
    for name in tool.required:
        schema = tool.properties.get(name) or {}
        if name not in found:
            options = schema.get("enum")
            found[name] = options[0] if options else blank.get(schema.get("type"), (text.splitlines() or ["-"])[0][:80])
    return found
