"""Reads what an agent left behind: its output and its own record, both written by a stranger."""

from __future__ import annotations

import fnmatch
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.agent_files import AgentFile
from tasks.agents.installed.told import Told
from tasks.sandbox import foreign

MAX_BYTES = 256 * 1024 * 1024
"""Of a record that is read."""


@dataclass
class Left:
    """What there is to read."""

    out: Path
    log: Path
    """A file of ours with what it printed."""
    trajectory: str | None
    """Name of the agent's own record below `out`."""
    unread: int = field(default=0)
    """Lines that could not be read so far."""

    def record(self) -> str:
        """Text of its own record; empty if it wrote none."""
        return (foreign.text(self.out, self.trajectory, MAX_BYTES) or "") if self.trajectory else ""

    def output(self) -> str:
        """What it printed."""
        return foreign.text(self.log.parent, self.log.name, MAX_BYTES) or ""

    def objects(self, text: str) -> Iterator[dict[str, Any]]:
        """Objects of a text with one JSON value on each line; other lines are counted."""
        for line in text.splitlines():
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                self.unread += 1
                continue
            if isinstance(found, dict):
                yield found
            else:
                self.unread += 1


Reader = Callable[[Left], Told]


def read(agent: AgentFile, out: Path, log: Path) -> Told:
    """What the agent tells of its attempt. Never raises: what cannot be read is not told, and why is in `failed`.

    `out` is the attempt's out folder, all of it a stranger's; `log` a file with what the agent printed.
    """
    if agent.reader is None:
        return Told()
    left = Left(out, log, newest(out, agent.trajectory))
    try:
        reader: Reader = importlib.import_module(f"tasks.agents.installed.{agent.reader}").read
        told = reader(left)
    except Exception as error:  # whatever a stranger wrote, the attempt goes on without it
        return Told(failed=f"its record cannot be read: {type(error).__name__}: {str(error)[:200]}", unread=left.unread)
    return told.model_copy(update={"unread": left.unread, "original": left.trajectory})


def newest(out: Path, pattern: str | None) -> str | None:
    """The newest regular file that fits a pattern; None without one."""
    if pattern is None:
        return None
    depth = pattern.count("/")
    try:
        found = [
            entry
            for entry in foreign.walk(out, enter=lambda name: name.count("/") < depth)
            if entry.kind == "file" and entry.name.count("/") == depth and fnmatch.fnmatchcase(entry.name, pattern)
        ]
    except OSError:
        return None
    return max(found, key=lambda entry: (entry.mtime_ns, entry.name)).name if found else None
