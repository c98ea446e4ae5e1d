"""What a step says went wrong, in one line."""

from __future__ import annotations

import re


def cut(command: str) -> str:
    """A command for a message."""
    text = command.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 500 else f"{text[:500]}..."


def cause(output: str) -> str:
    """What the output says went wrong, in one line of at most 300 characters."""
    lines = [re.sub(r"^[\s│╰├─▶×┬·]+", "", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line]
    marked = [
        index
        for index, line in enumerate(lines)
        if re.match(r"(error|fatal|E|cause|\w*(Error|Exception|Exit))\b:?", line) or "Because" in line
    ]
    if not marked:
        return lines[-1][:300] if lines else ""
    start = marked[0]
    if lines[start].startswith("error: subprocess-exited-with-error") and "[end of output]" in lines:
        # pip shows what another program said, and the reason stands in that
        shown = lines[start + 1 : lines.index("[end of output]")]
        said = [line for line in shown if re.match(r"(ERROR|error|fatal|\w*(Error|Exception))\b", line)]
        if said:
            return f"{shown[0]} {said[-1]}"[:300]
    return " ".join(lines[start : start + 4])[:300]
