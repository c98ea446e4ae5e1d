"""What an agent is shown of the human's diff is measured; what it wrote itself is no leak."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tasks.agents.gateway import LeakWatch
from tasks.agents.gateway.watching import MOST_WAITING
from tests.tasks.agents.gateway.raw import RawProvider, says
from tests.tasks.agents.gateway.wire import SHAPES, allowed, wired

FIRST = "    seen_lines = frozenset(line.strip() for line in index.lines)"
SECOND = "    return bisect.bisect_left(index.offsets, position - index.start)"
PATCH = f"""diff --git a/search.py b/search.py
--- a/search.py
+++ b/search.py
@@ -1,3 +1,4 @@
 def search(index, position):
-    return index.slow_search(position)
+{FIRST}
+{SECOND}
"""


def conversation(shape: str, *turns: tuple[str, str]) -> dict[str, Any]:
    """A request with such turns: (`user`, text), (`run`, what a tool gave), (`model`, what it put into a call)."""
    found: list[dict[str, Any]] = []
    for who, text in turns:
        call = {"command": text}
        if shape == "messages":
            blocks: dict[str, Any] = {
                "user": {"role": "user", "content": [{"type": "text", "text": text}]},
                "run": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": text}]},
                "model": {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "1", "name": "b", "input": call}],
                },
            }
        elif shape == "chat":
            function = {"name": "b", "arguments": json.dumps(call)}
            blocks = {
                "user": {"role": "user", "content": text},
                "run": {"role": "tool", "tool_call_id": "1", "content": text},
                "model": {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": function}]},
            }
        elif shape == "responses":
            blocks = {
                "user": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
                "run": {"type": "function_call_output", "call_id": "1", "output": text},
                "model": {"type": "function_call", "call_id": "1", "name": "b", "arguments": json.dumps(call)},
            }
        else:
            blocks = {
                "user": {"role": "user", "parts": [{"text": text}]},
                "run": {"role": "user", "parts": [{"functionResponse": {"name": "b", "response": {"out": text}}}]},
                "model": {"role": "model", "parts": [{"functionCall": {"name": "b", "args": call}}]},
            }
        found.append(blocks[who])
    return {{"gemini": "contents", "responses": "input"}.get(shape, "messages"): found}


def watched(shape: str, *requests: tuple[tuple[str, str], ...]) -> tuple[int, int]:
    """Lines that such requests give away: (in prompts, in results of tools)."""
    with RawProvider(says(b"{}")) as provider:
        with wired([allowed(shape, provider.url)], watch=LeakWatch(PATCH)) as wire:
            for turns in requests:
                assert wire.ask(shape, **conversation(shape, *turns)).status_code == 200
        seen = wire.gateway.leak
        assert seen is not None
        assert seen.lines_added == 2
        return seen.prompt, seen.tool_results


TASK = ("user", "Make search in search.py faster.")
LOOKED = ("run", "def search(index, position):\n    return index.slow_search(position)\n")


@pytest.mark.parametrize("shape", SHAPES)
def test_each_protocols_prompts_and_tools_are_told_apart(shape: str) -> None:
    git_log = ("run", f"commit 123\n\n+{SECOND}\n")
    wrote = ("model", f"cat > search.py <<E\n{FIRST}\nE")
    reads = ("run", f"1 {FIRST}\n")
    assert watched(shape, (TASK,), (TASK, ("model", "cat search.py"), LOOKED)) == (0, 0)
    assert watched(shape, (("user", f"Do this:\n{FIRST}"),)) == (1, 0)
    assert watched(shape, (TASK,), (TASK, ("model", "git log -p"), git_log)) == (0, 1)
    assert watched(shape, (TASK, wrote, reads)) == (0, 0)  # its own
    assert watched(shape, (TASK, wrote, reads, git_log)) == (0, 1)
    assert watched(shape, (TASK, reads, git_log)) == (0, 2)  # two texts, two lines
    assert watched(shape, (TASK, reads), (TASK, reads), (TASK, reads, wrote)) == (0, 1)  # said again is said once


def test_rates_and_names() -> None:
    with RawProvider(says(b"{}")) as provider:
        with wired([allowed("chat", provider.url)], watch=LeakWatch(PATCH)) as wire:
            wire.ask("chat", **conversation("chat", ("user", f"A hint: {SECOND}, and a set of `seen_lines`.")))
            wire.ask("chat", model="other", **conversation("chat", ("user", FIRST)))  # refused: nobody saw it
        seen = wire.gateway.leak
        assert seen is not None
        assert (seen.prompt_rate, seen.tool_rate) == (0.5, 0.0)
        assert "seen_lines" in seen.names


def test_what_base_shows_is_no_leak() -> None:
    watch = LeakWatch(PATCH, known=[f"def elsewhere():\n{FIRST}\n"])
    watch.note("chat", conversation("chat", ("user", FIRST)))
    seen = watch.close()
    assert (seen.lines_added, seen.prompt) == (1, 0)


def test_what_comes_too_fast_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    monkeypatch.setattr("tasks.agents.gateway.watching.said", lambda *_: held.wait(20) and ())
    watch = LeakWatch(PATCH)
    for _ in range(MOST_WAITING + 11):
        watch.note("chat", {})
    held.set()
    assert watch.close().left_out in (10, 11)  # one may be looked at already
